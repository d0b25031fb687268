package cli

import (
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

// warmLines say which older releases are kept running, and for how long still.
func warmLines(status steady.Status, now time.Time) []string {
	var out []string
	for _, v := range status.Services {
		if v.Warm == nil {
			continue
		}
		still := "until it has drained"
		if d := v.Warm.Until.Sub(now); d > 0 {
			still = "for " + left(d)
		}
		out = append(out, fmt.Sprintf("%s release %d warm %s: steady rollback %s only shifts", v.Service, v.Warm.Release, still, v.Service))
	}
	return out
}

// warmText says in a plan what becomes of the release that served.
func warmText(v steady.ServicePlan) string {
	switch {
	case v.Warm > 0:
		return fmt.Sprintf("release %d is kept running, without traffic, for %s", v.From, left(v.Warm))
	case v.Cold != "":
		return "not: " + v.Cold
	}
	return ""
}
