package store

import (
	"cmp"
	"context"
	"database/sql"
	"time"

	"gesalpai.ch/steady"
)

// Accept writes a rollout and the releases it will make, in one transaction. It
// sets the rollout's ID, which is new in the whole store; where there are
// releases its Number, one above the project's newest release and not below the
// Number given; and Number,
// Rollout, Digest and Created of each release. Started and State are set where
// they are empty. On error nothing is set. What is older than KeptRollouts and
// KeptReleases goes.
func (s *Store) Accept(ctx context.Context, r *steady.Rollout, releases []steady.Release) error {
	accepted := *r
	if accepted.Started.IsZero() {
		accepted.Started = time.Now().UTC()
	}
	accepted.State = cmp.Or(accepted.State, steady.RolloutRunning)
	made := make([]steady.Release, len(releases))
	err := s.write(ctx, s.sure, "accept rollout", func(ctx context.Context, tx *sql.Tx) error {
		if err := number(ctx, tx, &accepted, len(releases) > 0); err != nil {
			return err
		}
		if err := insertRollout(ctx, tx, &accepted); err != nil {
			return err
		}
		for i, rel := range releases {
			made[i] = numbered(rel, accepted)
			if err := insertRelease(ctx, tx, made[i]); err != nil {
				return err
			}
		}
		return prune(ctx, tx, accepted.Project, made)
	})
	if err != nil {
		return err
	}
	*r = accepted
	copy(releases, made)
	return nil
}

// number gives the rollout the project's next release number, if it makes any.
func number(ctx context.Context, tx *sql.Tx, r *steady.Rollout, makes bool) error {
	if !makes {
		r.Number = 0
		return nil
	}
	return tx.QueryRowContext(ctx,
		"SELECT max(?, coalesce(max(number), 0) + 1) FROM releases WHERE project = ?", r.Number, r.Project).Scan(&r.Number)
}

// numbered is the release as the rollout makes it.
func numbered(rel steady.Release, r steady.Rollout) steady.Release {
	rel.Project = cmp.Or(rel.Project, r.Project)
	rel.Service = cmp.Or(rel.Service, rel.Spec.Service)
	rel.Number = r.Number
	rel.Rollout = r.ID
	rel.Digest = rel.Spec.Digest()
	rel.Created = r.Started
	return rel
}
