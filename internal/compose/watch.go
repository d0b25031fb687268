package compose

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// watchKeys are the settings of the watch window, and of how long the release
// before is kept running behind it.
func watchKeys() []Key {
	d := steady.DefaultWatch()
	return []Key{
		{Name: "watch.errors", Type: "share | off", Default: "max_failure_ratio, else " + percent(d.Errors), parse: shareOrOff,
			Doc: "The share of the new release's requests, such as 1% or 0.01, that may fail in the watch window: answered with 500 and above, or lost. More than that is a failure if it is also more than 1.5 times the share of the old release. Overrides deploy.update_config.max_failure_ratio, which is also the share of its replicas that may die."},
		{Name: "watch.latency", Type: "factor | off", Default: strconv.FormatFloat(d.Latency, 'g', -1, 64), parse: factorOrOff,
			Doc: "How many times slower than the old release the new one may be in the watch window, by half or by a quarter of its answers; differences of less than 10ms do not count."},
		{Name: "watch.after", Type: "duration", Default: d.After.String(), parse: duration,
			Doc: "For how long after the shift latency is not judged, since a process that has just started is slow. Set it longer if the service has to warm up."},
		{Name: "warm", Type: "duration", Default: "0s", parse: duration,
			Doc: "How long the old replicas are kept running, without traffic, after a rollout, so that a rollback only has to shift. They use memory meanwhile. It has no effect if old and new cannot run side by side, if the service has no ports and routes, or with internal: off."},
	}
}

// watched says what is asked of a new release: nil where the files are silent. Of
// Compose's max_failure_ratio 0, its default, cannot be told from nothing said.
func watched(c *types.UpdateConfig, own settings) *steady.Watch {
	w := steady.DefaultWatch()
	if c != nil && c.MaxFailureRatio > 0 {
		w.Deaths = short(c.MaxFailureRatio)
		w.Errors, w.Said = w.Deaths, true
	}
	if _, said := anywhere(own, "watch.errors"); said {
		w.Errors, w.Said = setting(own, "watch.errors", w.Errors), true
	}
	w.Latency = setting(own, "watch.latency", w.Latency)
	w.After = setting(own, "watch.after", w.After)
	if w == steady.DefaultWatch() {
		return nil
	}
	return &w
}

// short is the number as it stands in the file: 0.1 is not 0.10000000149.
func short(f float32) float64 {
	d, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		return float64(f)
	}
	return d
}

// asksForWatch says whether the files say what shall happen in a watch window: then
// there is one, also where they do not say how long.
func asksForWatch(c *types.UpdateConfig, own settings) bool {
	if c != nil && (c.FailureAction != "" || c.MaxFailureRatio > 0) {
		return true
	}
	for _, key := range []string{"watch.errors", "watch.latency", "watch.after"} {
		if _, said := anywhere(own, key); said {
			return true
		}
	}
	return false
}

func anywhere(own settings, key string) (any, bool) {
	if v, ok := own.service[key]; ok {
		return v, true
	}
	v, ok := own.project[key]
	return v, ok
}

// rollbackOf is deploy.rollback_config; nil where there is none.
func rollbackOf(s types.ServiceConfig, own settings) *steady.Update {
	if s.Deploy == nil || s.Deploy.RollbackConfig == nil {
		return nil
	}
	u := configured(s.Deploy.RollbackConfig, own)
	return &u
}

func warmOf(own settings) time.Duration { return setting(own, "warm", time.Duration(0)) }

// shareOrOff reads 1%, 0.01, or off, which is below 0.
func shareOrOff(v any) (any, error) {
	if v == "off" || v == false {
		return -1.0, nil
	}
	text, of := fmt.Sprint(v), 1.0
	if number, ok := strings.CutSuffix(text, "%"); ok {
		text, of = strings.TrimSpace(number), 100
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= of) {
		return nil, fmt.Errorf("%v is no share such as 1%% or 0.01, nor off", v)
	}
	return f / of, nil
}

// factorOrOff reads a number above 1, or off, which is 0.
func factorOrOff(v any) (any, error) {
	if v == "off" || v == false {
		return 0.0, nil
	}
	f, err := strconv.ParseFloat(strings.TrimSuffix(fmt.Sprint(v), "x"), 64)
	if err != nil || !(f > 1 && f <= 1000) {
		return nil, fmt.Errorf("%v is no factor above 1 such as 2, nor off", v)
	}
	return f, nil
}

func percent(share float64) string { return strconv.FormatFloat(share*100, 'g', -1, 64) + "%" }
