package daemon

import (
	"context"
	"errors"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/mask"
	"gesalpai.ch/steady/internal/rollout"
	"gesalpai.ch/steady/internal/store"
)

// maskedReleases is how many of a project's releases are read for what is private in
// them when a daemon first hears of the project.
const maskedReleases = 50

// privateIn returns what is private in a store's releases.
func privateIn(s *store.Store) *mask.Set {
	return mask.NewSet(func(project string) ([]steady.Spec, error) {
		releases, _, err := s.Releases(context.Background(), project)
		var out []steady.Spec
		for _, r := range releases[:min(len(releases), maskedReleases)] {
			out = append(out, r.Spec)
		}
		return out, err
	})
}

// running is the rollout that a project is in now, if any, as it may be told.
func (b *backend) running(project string) *steady.Rollout {
	r := b.rollouts.Running(project)
	if r != nil {
		r.Error = b.private.Error(project, r.Error)
	}
	return r
}

// masked is a journal that writes nothing private: what the Engine, a builder or a
// container says may quote commands and values.
type masked struct {
	rollout.Journal
	private *mask.Set
}

// Accept implements rollout.Journal.
func (j masked) Accept(ctx context.Context, r *steady.Rollout, releases []steady.Release) error {
	for _, made := range releases {
		j.private.Learn(made.Spec)
	}
	return j.Journal.Accept(ctx, r, releases)
}

// Event implements rollout.Journal.
func (j masked) Event(ctx context.Context, e *steady.Event) error {
	kept := *e
	kept.Text, kept.Warning, kept.Error = j.private.Text(e.Project, e.Text), j.private.Text(e.Project, e.Warning), j.private.Error(e.Project, e.Error)
	err := j.Journal.Event(ctx, &kept)
	e.Seq, e.Time = kept.Seq, kept.Time
	return err
}

// KeepLog implements rollout.Journal.
func (j masked) KeepLog(ctx context.Context, rollout int64, c steady.Replica, lines []steady.LogLine) error {
	for i := range lines {
		lines[i].Text = j.private.All(lines[i].Text)
	}
	return j.Journal.KeepLog(ctx, rollout, c, lines)
}

// End implements rollout.Journal.
func (j masked) End(ctx context.Context, rollout int64, stepID string, failed error) error {
	if failed != nil {
		failed = errors.New(j.private.All(failed.Error()))
	}
	return j.Journal.End(ctx, rollout, stepID, failed)
}

// Update implements rollout.Journal.
func (j masked) Update(ctx context.Context, r steady.Rollout) error {
	r.Error = j.private.Error(r.Project, r.Error)
	return j.Journal.Update(ctx, r)
}
