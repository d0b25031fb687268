package rollout

import (
	"context"
	"time"

	"gesalpai.ch/steady"
)

// emit journals an event and wakes those who follow the rollout.
func (r *run) emit(ctx context.Context, e steady.Event) error {
	e.Time, e.Rollout, e.Project = time.Now().UTC(), r.ID, r.Project
	keep := func(ctx context.Context) error { return r.engine.Journal.Event(context.WithoutCancel(ctx), &e) }
	if err := r.write(ctx, write{what: "event " + e.Kind, do: keep, event: &e}); err != nil {
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
