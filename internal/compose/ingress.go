package compose

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"gesalpai.ch/steady"
)

// ingressKeys are the settings of which requests reach an app, and with what.
func ingressKeys() []Key {
	return []Key{
		{Name: "underscores_in_headers", Type: "true | false", Default: "false", parse: boolean,
			Doc: "Whether request headers with an underscore in their name reach the app. They are dropped by default, as in nginx: CGI, WSGI and PHP cannot tell X_Forwarded_For from X-Forwarded-For. See docs/requests.md."},
		{Name: "trusted_proxies", Type: "list of addresses", Default: steady.TrustedProxies, parse: trusted,
			Doc: "Addresses or networks of proxies in front of steady whose X-Forwarded-For, X-Real-IP and the like reach the app, with TLS and without, instead of the default. The headers of other peers are replaced or dropped."},
		{Name: "upgrades", Type: "list of protocols", Default: strings.Join(steady.DefaultUpgrades, ", "), parse: upgrades,
			Doc: "Further protocols that a client may switch a connection to with the header Upgrade; never h2c, HTTP or TLS."},
	}
}

// ingressOf is nil where the files say nothing.
func ingressOf(own settings) *steady.Ingress {
	out := steady.Ingress{
		Underscores: setting(own, "underscores_in_headers", false),
		Upgrades:    setting[[]string](own, "upgrades", nil),
		Trusted:     setting[[]netip.Prefix](own, "trusted_proxies", nil),
	}
	if steady.Equal(out, steady.Ingress{}) {
		return nil
	}
	return &out
}

func trusted(v any) (any, error) {
	names, err := oneOrMore(v)
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, name := range names {
		if a, err := netip.ParseAddr(name); err == nil {
			out = append(out, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(name)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", name)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func upgrades(v any) (any, error) {
	names, err := oneOrMore(v)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		if err := steady.CheckUpgrade(name); err != nil {
			return nil, err
		}
		names[i] = strings.ToLower(name)
	}
	return names, nil
}

// oneOrMore reads a text, or a list of them.
func oneOrMore(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, one := range list {
		s, ok := one.(string)
		if !ok || s == "" {
			return nil, fmt.Errorf("%v is no text", one)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, errors.New("the list is empty")
	}
	return out, nil
}
