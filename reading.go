package steady

import (
	"maps"
	"time"
)

// Reading is what a proxy had counted of one project at one moment.
type Reading struct {
	At    time.Time `json:"at"`
	Proxy time.Time `json:"proxy"` // when the proxy that says so began: it counts from there

	Services map[string]map[int]Measure `json:"services,omitempty"` // by service and release, as Traffic
	Minute   map[string]Stretch         `json:"minute,omitempty"`   // the last minute by service, all releases, or as much of it as there was

	Shift *Shifted `json:"shift,omitempty"` // it was taken when this shift had just been done
}

// Measure is what was counted of one release of one service.
type Measure struct {
	Counts Counts `json:"counts"`
	Answers
	Open Open `json:"open,omitzero"` // in flight at the end of what was measured
}

// Answers tells more of what was counted: how the app answered, how long it took,
// and how long what was held had to wait.
type Answers struct {
	Classes     [6]int64      `json:"classes"`                // by the first digit of their status; streams included
	Took        Histogram     `json:"took,omitempty"`         // of whole answers, streams left out
	Waits       Histogram     `json:"waits,omitempty"`        // of what was held at a gate
	LongestWait time.Duration `json:"longest_wait,omitempty"` // of those; exact where it is the longest since the proxy began, else to within a bucket
}

// Measure is the flow as it is kept in a reading.
func (f Flow) Measure() Measure {
	return Measure{Counts: f.Counts, Open: f.Open,
		Answers: Answers{Classes: f.Classes, Took: f.Took.Histogram(), Waits: f.Waits.Histogram(), LongestWait: f.LongestWait}}
}

// Minus is what came to an earlier measure of the same proxy.
func (m Measure) Minus(o Measure) Measure {
	out := Measure{Counts: m.Counts.Minus(o.Counts), Open: m.Open}
	for i := range m.Classes {
		out.Classes[i] = m.Classes[i] - o.Classes[i]
	}
	out.Took, out.Waits = m.Took.Minus(o.Took), m.Waits.Minus(o.Waits)
	out.LongestWait = out.Waits.Longest()
	if m.LongestWait > o.LongestWait {
		out.LongestWait = m.LongestWait
	}
	return out
}

// Plus is both, one after the other: what is open is what the later one has open.
func (m Measure) Plus(later Measure) Measure {
	out := Measure{Counts: m.Counts.Plus(later.Counts), Open: later.Open}
	for i := range m.Classes {
		out.Classes[i] = m.Classes[i] + later.Classes[i]
	}
	out.Took, out.Waits = m.Took.Plus(later.Took), m.Waits.Plus(later.Waits)
	out.LongestWait = max(m.LongestWait, later.LongestWait)
	return out
}

// Zero says whether nothing was counted.
func (m Measure) Zero() bool { return m.Counts == (Counts{}) && m.Classes == ([6]int64{}) }

// Since is what was counted between an earlier reading and this one. A proxy that
// began in between counts from nothing again, so what it says is what was counted.
func (r Reading) Since(o Reading) map[string]map[int]Measure {
	if !r.Proxy.Equal(o.Proxy) {
		return r.Services
	}
	out := map[string]map[int]Measure{}
	for service, releases := range r.Services {
		out[service] = map[int]Measure{}
		for n, m := range releases {
			out[service][n] = m.Minus(o.Services[service][n])
		}
	}
	return out
}

// Only leaves the services that are named.
func (r Reading) Only(services func(string) bool) Reading {
	other := func(service string) bool { return !services(service) }
	r.Services, r.Minute = maps.Clone(r.Services), maps.Clone(r.Minute)
	maps.DeleteFunc(r.Services, func(s string, _ map[int]Measure) bool { return other(s) })
	maps.DeleteFunc(r.Minute, func(s string, _ Stretch) bool { return other(s) })
	return r
}

// Stretch is what was counted within a stretch of time.
type Stretch struct {
	For      time.Duration `json:"for"`
	Requests int64         `json:"requests"`
	Errors   int64         `json:"errors"` // answers with status ≥ 500, the app's and our own, and those broken off
	Took     Histogram     `json:"took,omitempty"`
}

// Stretch is the span for keeping.
func (s Span) Stretch() Stretch {
	return Stretch{For: s.For, Requests: s.Counts.Requests, Errors: s.Counts.Errors + s.Counts.Lost, Took: s.Took.Histogram()}
}

// Over is the measure as a stretch of time.
func (m Measure) Over(d time.Duration) Stretch {
	return Stretch{For: d, Requests: m.Counts.Requests, Errors: m.Counts.Errors + m.Counts.Lost, Took: m.Took}
}
