package rollout

import (
	"context"
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// receipt is what was counted from the rollout's start until now. What cannot be
// had any more, of the proxy or of the journal, is missing from it and said to be.
func (r *run) receipt(ctx context.Context) *steady.Receipt {
	readings, whole := r.closed(ctx)
	events, err := r.engine.Journal.Events(ctx, r.ID, 0)
	if err != nil {
		r.engine.Log.Warn("read the rollout's events", "rollout", r.ID, "err", err)
	}
	late, _ := r.backlog.events()
	events = append(events, late...)
	c := counted{plan: r.plan, began: r.Started, ended: time.Now().UTC(), readings: readings, events: events}
	if len(events) > 0 { // the rollout may have waited for its turn before
		c.began = events[0].Time
	}
	if whole {
		c.ended = readings[len(readings)-1].At
	}
	out := &steady.Receipt{Rollout: r.ID, Project: r.Project, Began: c.began, Ended: c.ended,
		Missed: c.missed(), Shifts: c.shifts(), Phases: c.phases()}
	sum := c.sum()
	for _, s := range r.plan.Services {
		if s.Strategy == steady.StrategyKeep {
			continue
		}
		out.Services = append(out.Services, c.service(s, sum, r.drained[s.Service]))
	}
	out.Series = c.series(out.Services)
	return out
}

// counted is all that a receipt follows from.
type counted struct {
	plan         steady.Plan
	began, ended time.Time
	readings     []steady.Reading // each tells of all releases
	events       []steady.Event
}

// fresh says whether the first reading is of a proxy that began when the rollout
// had: whatever it counted belongs to it.
func (c counted) fresh() bool { return len(c.readings) > 0 && c.readings[0].Proxy.After(c.began) }

func (c counted) sum() measures {
	sum := measures{}
	if c.fresh() {
		sum = plus(sum, c.readings[0].Services)
	}
	return plus(sum, between(c.readings))
}

// missed lists the stretches whose counts are lost.
func (c counted) missed() []steady.Missed {
	if len(c.readings) == 0 {
		return []steady.Missed{{From: c.began, To: c.ended}}
	}
	var out []steady.Missed
	first, last := c.readings[0], c.readings[len(c.readings)-1]
	switch {
	case c.fresh():
		out = append(out, steady.Missed{From: c.began, To: first.Proxy})
	case first.At.Sub(c.began) > readWithin:
		out = append(out, steady.Missed{From: c.began, To: first.At})
	}
	for i, r := range c.readings[1:] {
		if before := c.readings[i]; !r.Proxy.Equal(before.Proxy) {
			out = append(out, steady.Missed{From: before.At, To: r.Proxy, Open: c.open(before)})
		}
	}
	if c.ended.After(last.At) {
		out = append(out, steady.Missed{From: last.At, To: c.ended, Open: c.open(last)})
	}
	return out
}

// open is what the plan's services had in flight.
func (c counted) open(r steady.Reading) steady.Open {
	var sum steady.Open
	for _, s := range c.plan.Services {
		if s.Strategy == steady.StrategyKeep {
			continue
		}
		for _, m := range r.Services[c.plan.Project+"/"+s.Service] {
			sum = sum.Plus(m.Open)
		}
	}
	return sum
}

func (c counted) shifts() []steady.Shifted {
	var out []steady.Shifted
	for _, r := range c.readings {
		if r.Shift != nil {
			out = append(out, *r.Shift)
		}
	}
	return out
}

func (c counted) service(s steady.ServicePlan, sum measures, drained steady.Drained) steady.ServiceReceipt {
	key := c.plan.Project + "/" + s.Service
	out := steady.ServiceReceipt{Service: s.Service, From: s.From, To: s.To, Strategy: s.Strategy,
		Releases: map[int]steady.Counts{}, Answers: map[int]steady.Answers{}, Drained: c.drained(s.Service, drained),
		Ready: c.ready(s.Service), Gap: c.gap(s), Uncounted: c.uncounted(s)}
	for release, m := range sum[key] {
		if !m.Zero() {
			out.Releases[release], out.Answers[release] = m.Counts, m.Answers
		}
	}
	if len(c.readings) > 0 {
		out.Before = c.readings[0].Minute[key]
	}
	out.After = c.after(s.Service)
	return out
}

// after is what the release answered that serves in the end, since its shift.
func (c counted) after(service string) steady.Stretch {
	for i, r := range slices.Backward(c.readings) {
		if r.Shift == nil {
			continue
		}
		for _, s := range r.Shift.Services {
			if s.Service == service && s.Replicas > 0 {
				since := between(c.readings[i:])[c.plan.Project+"/"+service][s.Release]
				return since.Over(c.readings[len(c.readings)-1].At.Sub(r.At))
			}
		}
	}
	return steady.Stretch{}
}

// gap is how long nobody took the service's traffic, between a shift to nobody and
// the next one to somebody.
func (c counted) gap(s steady.ServicePlan) time.Duration {
	var (
		sum  time.Duration
		left time.Time
	)
	for _, shift := range c.shifts() {
		for _, part := range shift.Services {
			switch {
			case part.Service != s.Service:
			case part.Replicas == 0 && left.IsZero() && s.From > 0:
				left = shift.At
			case part.Replicas > 0 && !left.IsZero():
				sum += shift.At.Sub(left)
				left = time.Time{}
			}
		}
	}
	return sum
}

// uncounted says what may have come to the service past the proxy.
func (c counted) uncounted(s steady.ServicePlan) []string {
	var out []string
	for _, st := range c.plan.Steps {
		if st.Kind == steady.StepDrain && st.Service == s.Service && st.Direct {
			out = append(out, "what went to "+st.Replica+" itself, not through steady; of that only what was open at its end is known")
		}
	}
	if s.Direct != "" {
		out = append(out, "calls by its name from within the project, which go to its replicas themselves: "+s.Direct)
	}
	return out
}

// drained adds up how the service's drains went, by the journal: it survives a
// daemon. Where the journal lacks some, what is remembered does.
func (c counted) drained(service string, remembered steady.Drained) steady.Drained {
	var sum steady.Drained
	for _, e := range c.events {
		if e.Kind == steady.EventStep && e.Service == service && e.Drained != nil {
			sum = sum.Plus(*e.Drained)
		}
	}
	if remembered.Requests > sum.Requests || remembered.Streams > sum.Streams {
		return remembered
	}
	return sum
}
