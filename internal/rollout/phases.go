package rollout

import (
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// phases tells when each service went through which kind of step: those of one kind
// that overlap are one phase. A step that a failure broke off ended with it.
func (c counted) phases() []steady.PhaseTaken {
	l := laying{at: map[phase]int{}, open: map[string]phase{}, n: map[phase]int{}}
	for _, e := range c.events {
		switch e.Kind {
		case steady.EventBegun:
			l.begin(e)
		case steady.EventStep:
			l.end(e.StepID, e.Time)
		case steady.EventUndo, steady.EventDone, steady.EventFailed:
			l.endAll(e.Time)
		}
	}
	l.endAll(c.ended) // the rollout ends now
	return l.out
}

type phase struct {
	service, kind string
	undo          bool
}

// laying is phases in the making.
type laying struct {
	out  []steady.PhaseTaken
	at   map[phase]int    // the last of each
	open map[string]phase // by step
	n    map[phase]int    // how many steps of each are open
}

func (l *laying) begin(e steady.Event) {
	k := phase{e.Service, e.Step, strings.HasPrefix(e.StepID, "undo/")}
	if _, again := l.open[e.StepID]; again { // by the next daemon
		return
	}
	if l.n[k] == 0 {
		l.at[k] = len(l.out)
		l.out = append(l.out, steady.PhaseTaken{Service: e.Service, Kind: e.Step, Undo: k.undo, Began: e.Time})
	}
	l.n[k]++
	l.open[e.StepID] = k
}

func (l *laying) end(step string, at time.Time) {
	k, open := l.open[step]
	if !open {
		return
	}
	delete(l.open, step)
	l.n[k]--
	l.out[l.at[k]].Ended = at
}

func (l *laying) endAll(at time.Time) {
	for step := range l.open {
		l.end(step, at)
	}
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
