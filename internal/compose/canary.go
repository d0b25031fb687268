package compose

import (
	"fmt"
	"math"
	"net/textproto"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
)

// canaryOf is how a new release of the service is tried out; nil where it is not.
func canaryOf(own settings) *steady.Canary {
	if !wantsCanary(own.service) {
		return nil
	}
	return &steady.Canary{
		Steps:  setting(own, "canary.steps", steady.DefaultCanarySteps()),
		Every:  setting(own, "canary.every", steady.DefaultCanaryEvery),
		Header: setting(own, "canary.header", ""),
		Cookie: setting(own, "canary.cookie", steady.DefaultCanaryCookie),
		Manual: setting(own, "canary.promote", false),
	}
}

func wantsCanary(service map[string]any) bool {
	if on, said := service["canary"].(bool); said {
		return on
	}
	for key := range service {
		if strings.HasPrefix(key, "canary.") {
			return true
		}
	}
	return false
}

// canaryKeys are the settings of a release that is tried out.
func canaryKeys() []Key {
	return []Key{
		{Name: "canary", Type: "true | false", Default: "false", ServiceOnly: true, parse: boolean,
			Doc: "Whether a new release first gets a share of the service's traffic, beside the old one. A failure shifts all traffic back to the old release at once, whatever failure_action says. Setting one of its keys turns it on as well. If old and new cannot run side by side, the plan says so and leaves the canary out; so does every rollback."},
		{Name: "canary.steps", Type: "list of percentages", Default: "[5%, 25%, 50%]", ServiceOnly: true, parse: shares,
			Doc: "The new release's rising share in each step; after the last one it gets all. At 0% only requests with canary.header get it. The share applies to HTTP requests of clients without a cookie, to clients with one, and to TCP connections."},
		{Name: "canary.every", Type: "duration", Default: steady.DefaultCanaryEvery.String(), ServiceOnly: true, parse: duration,
			Doc: "How long each step lasts. The canaries of one rollout take their steps together; each step lasts as long as the longest of them says."},
		{Name: "canary.header", Type: "name", Default: "none", ServiceOnly: true, parse: headerName,
			Doc: "The name of a request header, such as X-Canary, that decides before anything else: with the value always the new release answers, with never the old one. Every client that knows it can use it. The app gets it too, and may pass it on to the services that it calls."},
		{Name: "canary.cookie", Type: "name | off", Default: steady.DefaultCanaryCookie, ServiceOnly: true, parse: cookieOrOff,
			Doc: "The cookie that keeps a client at its release. Its value is a number, drawn once, that says at which share the client gets the new release: a client changes at most once, to the new one, and never back, and returning clients are shared like new ones. off: each request is shared by itself, as calls from within the project and TCP connections are. HttpOnly, SameSite=Lax, Secure if the request came by HTTPS, until the browser session ends."},
		{Name: "canary.promote", Type: "auto | manual", Default: "auto", ServiceOnly: true, parse: promotion,
			Doc: "Whether the next step begins by itself when the time of one is over. manual: it waits for steady promote, and goes on watching."},
	}
}

// shares reads percentages that rise: 5, "5%", "2.5 %".
func shares(v any) (any, error) {
	all, ok := v.([]any)
	if !ok || len(all) == 0 {
		return nil, fmt.Errorf("%v is no list of percentages", v)
	}
	var out []float64
	for _, one := range all {
		text := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(fmt.Sprint(one)), "%"))
		p, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil || !(p >= 0 && p <= 100):
			return nil, fmt.Errorf("%v is no percentage from 0%% to 100%%", one)
		case math.Abs(p*100-math.Round(p*100)) > 1e-6:
			return nil, fmt.Errorf("%v is finer than a hundredth of a percent", one)
		case len(out) > 0 && p <= out[len(out)-1]:
			return nil, fmt.Errorf("the shares do not rise: %s comes after %s", steady.PercentText(p), steady.PercentText(out[len(out)-1]))
		}
		out = append(out, p)
	}
	return out, nil
}

func headerName(v any) (any, error) {
	s, ok := v.(string)
	if !ok || !steady.IsCookieName(s) { // both are tokens, RFC 9110, 5.1
		return nil, fmt.Errorf("%v is no name for a header", v)
	}
	return textproto.CanonicalMIMEHeaderKey(s), nil
}

func cookieOrOff(v any) (any, error) {
	if v == "off" || v == false {
		return "", nil
	}
	return cookie(v)
}

// promotion reads whether somebody must promote.
func promotion(v any) (any, error) {
	switch v {
	case "auto":
		return false, nil
	case "manual":
		return true, nil
	}
	return nil, fmt.Errorf("%v is none of auto, manual", v)
}
