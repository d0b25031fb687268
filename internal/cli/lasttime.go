package cli

import (
	"fmt"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// noticed is what a visitor will notice, with the figure of the last time.
func noticed(v steady.ServicePlan) string {
	switch {
	case v.Last == nil:
		return v.Notice
	case v.Last.LongestWait > 0:
		return v.Notice + "; the longest wait was " + span(v.Last.LongestWait) + " the last time"
	case v.Last.Gap > 0 && v.Strategy == steady.StrategyHold:
		return v.Notice + "; nobody served for " + span(v.Last.Gap) + " the last time"
	case v.Last.Gap > 0:
		return v.Notice + ": about " + span(v.Last.Gap) + ", as last time"
	}
	return v.Notice
}

// lastText is how it went the last time.
func lastText(l steady.LastTime, now time.Time) string {
	var parts []string
	if l.Ready > 0 {
		parts = append(parts, "about "+span(l.Ready)+" until ready")
	}
	if l.Gap > 0 {
		parts = append(parts, "a gap of "+span(l.Gap))
	}
	if l.Held > 0 {
		parts = append(parts, number(l.Held)+" held, for "+span(l.LongestWait)+" at most")
	}
	switch lost := l.Losses; {
	case lost.Sum() > 0:
		parts = append(parts, lossText(lost))
	case lost.Requests > 0 && !l.Missed:
		parts = append(parts, "0 lost of "+count(lost.Requests, "request"))
	}
	return fmt.Sprintf("%s (rollout %d, %s ago)", orDash(strings.Join(parts, ", ")), l.Rollout, age(now, l.Ended))
}
