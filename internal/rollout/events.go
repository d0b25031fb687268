package rollout

import (
	"context"
	"time"

	"gesalpai.ch/steady"
)

// emit journals an event and wakes those who follow the rollout.
func (r *run) emit(ctx context.Context, e steady.Event) error {
	e.Time, e.Rollout, e.Project = time.Now().UTC(), r.ID, r.Project
	if err := r.engine.Journal.Event(context.WithoutCancel(ctx), &e); err != nil {
		return err
	}
	r.engine.awaken(r.ID)
	return nil
}

func (r *run) about(s steady.Step, kind string) steady.Event {
	return steady.Event{Kind: kind, Service: s.Service, Release: s.Release, Replica: s.Replica, Step: s.Kind, StepID: s.ID}
}

// progress tells a line from within a step. Losing one is no reason to fail.
func (r *run) progress(ctx context.Context, s steady.Step, line string) {
	e := r.about(s, steady.EventProgress)
	e.Text = line
	if err := r.emit(ctx, e); err != nil {
		r.engine.Log.Warn("event lost", "rollout", r.ID, "err", err)
	}
}

// traffic reads the counters; a proxy that does not answer makes an empty
// receipt, not a failed rollout.
func (r *run) traffic(ctx context.Context) steady.Traffic {
	t, err := r.engine.Router.Traffic(ctx, r.Project)
	if err != nil {
		r.engine.Log.Warn("read the proxy's counters", "rollout", r.ID, "err", err)
	}
	return t
}

// since is the span between two counts. A proxy that was started meanwhile counts
// from nothing again, so what it says then is the span.
func since(start, now steady.Counts) steady.Counts {
	if now.Requests < start.Requests || now.Streams < start.Streams {
		return now
	}
	return now.Minus(start)
}

// receipt is what the proxy counted between the rollout's start and now.
func (r *run) receipt(ctx context.Context) *steady.Receipt {
	now := r.traffic(ctx)
	out := &steady.Receipt{Rollout: r.ID, Project: r.Project}
	for _, s := range r.plan.Services {
		if s.Strategy == steady.StrategyKeep {
			continue
		}
		sr := steady.ServiceReceipt{Service: s.Service, From: s.From, To: s.To, Releases: map[int]steady.Counts{}, Drained: r.drained[s.Service]}
		key := r.Project + "/" + s.Service
		for release, c := range now[key] {
			if d := since(r.start[key][release], c); d != (steady.Counts{}) {
				sr.Releases[release] = d
			}
		}
		out.Services = append(out.Services, sr)
	}
	return out
}
