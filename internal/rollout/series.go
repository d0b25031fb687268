package rollout

import (
	"cmp"
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// series lays the readings out as stretches, a line for each release that counted
// anything; nil where there is nothing to lay out.
func (c counted) series(services []steady.ServiceReceipt) *steady.Series {
	at := c.points()
	if len(at) < 2 {
		return nil
	}
	out := &steady.Series{From: at[0].At}
	for _, r := range at[1:] {
		out.Until = append(out.Until, r.At.Sub(at[0].At))
	}
	for _, s := range services {
		for n := range s.Releases {
			out.Lines = append(out.Lines, line(c.plan.Project, s.Service, n, at))
		}
	}
	if len(out.Lines) == 0 {
		return nil
	}
	slices.SortFunc(out.Lines, func(a, b steady.Line) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Release, b.Release))
	})
	return out
}

const (
	// apart is the least time between two points: of a shorter stretch no rate can be
	// told.
	apart = 200 * time.Millisecond
	// drawnShifts bounds the points that stand at shifts; those of rollouts with more
	// batches fall between two others.
	drawnShifts = 20
)

// points are the readings between which the stretches lie. Shifts are among them,
// so that a picture shows each release from its own on.
func (c counted) points() []steady.Reading {
	n := len(c.readings)
	if n < 2 {
		return nil
	}
	shifts := []time.Time{c.readings[n-1].At}
	for _, r := range c.readings {
		if r.Shift != nil && len(shifts) <= drawnShifts && far(r.At, shifts) {
			shifts = append(shifts, r.At)
		}
	}
	var out []steady.Reading
	for i, r := range c.readings {
		if i == 0 || slices.ContainsFunc(shifts, r.At.Equal) || r.Shift == nil && far(r.At, shifts) {
			out = append(out, r)
		}
	}
	return out
}

// far says whether t is apart from all of them.
func far(t time.Time, from []time.Time) bool {
	return !slices.ContainsFunc(from, func(f time.Time) bool { return t.Sub(f).Abs() < apart })
}

func line(project, service string, release int, at []steady.Reading) steady.Line {
	l := steady.Line{Service: service, Release: release}
	for i, r := range at[1:] {
		m := r.Since(at[i])[project+"/"+service][release]
		took := m.Took.Latencies()
		l.Requests = append(l.Requests, max(m.Counts.Requests, 0)) // one that is offered again is taken back first
		l.Errors = append(l.Errors, m.Counts.Errors+m.Counts.Lost)
		l.P50 = append(l.P50, took.Quantile(0.50).Microseconds())
		l.P99 = append(l.P99, took.Quantile(0.99).Microseconds())
		l.Open = append(l.Open, m.Open.Requests+m.Open.Streams)
	}
	return l
}
