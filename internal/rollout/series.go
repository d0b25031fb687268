package rollout

import (
	"cmp"
	"slices"

	"gesalpai.ch/steady"
)

// series lays the readings out as stretches, a line for each release that counted
// anything; nil where there is nothing to lay out.
func (c counted) series(services []steady.ServiceReceipt) *steady.Series {
	var at []steady.Reading
	for i, r := range c.readings {
		if r.Shift == nil || i == 0 || i == len(c.readings)-1 {
			at = append(at, r)
		}
	}
	if len(at) < 2 {
		return nil
	}
	if n := len(at); n > 3 && at[n-1].At.Sub(at[n-2].At) < at[n-2].At.Sub(at[n-3].At)/2 {
		at = append(at[:n-2], at[n-1]) // of so short a stretch no rate can be told
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
	slices.SortFunc(out.Lines, func(a, b steady.Line) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Release, b.Release))
	})
	return out
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
