package rollout

import (
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// phases tells when each service went through which kind of step. A step that a
// failure broke off ended with it.
func (c counted) phases() []steady.PhaseTaken {
	type key struct {
		service, kind string
		undo          bool
	}
	var out []steady.PhaseTaken
	at := map[key]int{}
	open := map[string]key{} // by step
	for _, e := range c.events {
		k := key{e.Service, e.Step, strings.HasPrefix(e.StepID, "undo/")}
		i, known := at[k]
		switch e.Kind {
		case steady.EventBegun:
			if !known {
				i, at[k] = len(out), len(out)
				out = append(out, steady.PhaseTaken{Service: e.Service, Kind: e.Step, Undo: k.undo, Began: e.Time})
			}
			open[e.StepID] = k
		case steady.EventStep:
			delete(open, e.StepID)
			if known {
				out[i].Ended = e.Time
			}
		case steady.EventUndo, steady.EventDone, steady.EventFailed:
			for _, k := range open {
				out[at[k]].Ended = e.Time
			}
			clear(open)
		}
	}
	for i := range out {
		if out[i].Ended.IsZero() { // the rollout ends now
			out[i].Ended = c.ended
		}
	}
	return out
}

// ready is the longest from a new replica's start until it was ready.
func (c counted) ready(service string) time.Duration {
	var longest time.Duration
	started := map[string]time.Time{}
	for _, e := range c.events {
		if e.Service != service || strings.HasPrefix(e.StepID, "undo/") {
			continue
		}
		switch {
		case e.Kind == steady.EventBegun && e.Step == steady.StepStart:
			started[e.Replica] = e.Time
		case e.Kind == steady.EventStep && e.Step == steady.StepProbe && !started[e.Replica].IsZero():
			longest = max(longest, e.Time.Sub(started[e.Replica]))
		}
	}
	return longest
}
