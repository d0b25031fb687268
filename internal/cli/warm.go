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
		left := "until it has drained"
		if d := v.Warm.Until.Sub(now); d > 0 {
			left = "for " + leftOf(d)
		}
		out = append(out, fmt.Sprintf("%s release %d warm %s: steady rollback %s only shifts", v.Service, v.Warm.Release, left, v.Service))
	}
	return out
}

// leftOf is a duration to the second, "8m 12s".
func leftOf(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h > 0:
		return fmt.Sprintf("%dh %dm", h, m)
	case m > 0:
		return fmt.Sprintf("%dm %ds", m, s)
	}
	return fmt.Sprintf("%ds", s)
}

// warmText says in a plan what becomes of the release that served.
func warmText(v steady.ServicePlan) string {
	switch {
	case v.Warm > 0:
		return fmt.Sprintf("release %d is kept running, without traffic, for %s", v.From, leftOf(v.Warm))
	case v.Cold != "":
		return "not: " + v.Cold
	}
	return ""
}
