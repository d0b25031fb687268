package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

// Planned stores the plan in force: Begin, End and Progress are about its steps
// from now on. Those of the plan before stay on record, so that a step of the
// undoing may bear the ID of one that was done. The plan's anonymous volumes are the
// project's from then on. steady.ErrNoRollout.
func (s *Store) Planned(ctx context.Context, rollout int64, p steady.Plan) error {
	plan, err := encode(p)
	if err != nil {
		return fmt.Errorf("store plan: %w", err)
	}
	return s.write(ctx, s.sure, "store plan", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO plans (rollout, n, plan)
			VALUES (?1, (SELECT coalesce(max(n), 0) + 1 FROM plans WHERE rollout = ?1), ?2)`, rollout, plan)
		if unknownRollout(err) {
			return noRollout(rollout)
		}
		if err != nil {
			return err
		}
		return remember(ctx, tx, p.Project, p.Volumes)
	})
}

// Begin says that a step of the plan in force begins, or begins again.
// steady.ErrNoRollout.
func (s *Store) Begin(ctx context.Context, rollout int64, stepID string) error {
	return s.record(ctx, s.quick, "begin step", rollout, `INSERT INTO steps (rollout, plan, step, begun)
		VALUES (?1, (SELECT coalesce(max(n), 0) FROM plans WHERE rollout = ?1), ?2, ?3)
		ON CONFLICT DO UPDATE SET begun = excluded.begun, ended = 0, error = NULL`,
		rollout, stepID, time.Now().UnixNano())
}

// End says how a step that was begun ended: err is nil where it is done. A step
// of an earlier plan that ends late counts for that plan.
func (s *Store) End(ctx context.Context, rollout int64, stepID string, err error) error {
	var failed sql.NullString
	if err != nil {
		failed = sql.NullString{String: err.Error(), Valid: true}
	}
	missing := steady.ErrInternal.With(fmt.Sprintf("step %s of rollout %d ended and was never begun", stepID, rollout), "")
	return s.one(ctx, s.quick, "end step", missing, `UPDATE steps SET ended = ?3, error = ?4
		WHERE rollout = ?1 AND step = ?2 AND plan = (SELECT max(plan) FROM steps WHERE rollout = ?1 AND step = ?2)`,
		rollout, stepID, time.Now().UnixNano(), failed)
}

// Progress gives the plan in force and the IDs of its steps: those begun, and of
// them those done without error. A rollout that has no plan yet has an empty one.
func (s *Store) Progress(ctx context.Context, rollout int64) (p steady.Plan, begun, done map[string]bool, err error) {
	var (
		n    int
		plan sql.NullString
	)
	err = s.read.QueryRowContext(ctx, "SELECT n, plan FROM plans WHERE rollout = ? ORDER BY n DESC LIMIT 1", rollout).Scan(&n, &plan)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, nil, nil, fault(s.path, "read plan", err)
	}
	if err := decode(plan, &p); err != nil {
		return p, nil, nil, fault(s.path, "read plan", err)
	}
	begun, done, err = s.steps(ctx, rollout, n)
	return p, begun, done, err
}

// steps gives the steps of a rollout's n-th plan that were begun, and done.
func (s *Store) steps(ctx context.Context, rollout int64, n int) (begun, done map[string]bool, err error) {
	begun, done = map[string]bool{}, map[string]bool{}
	note := func(r row) (id string, err error) {
		var good bool
		if err := r.Scan(&id, &good); err != nil {
			return "", err
		}
		begun[id] = true
		if good {
			done[id] = true
		}
		return id, nil
	}
	_, err = list(ctx, s, note,
		"SELECT step, ended > 0 AND error IS NULL FROM steps WHERE rollout = ? AND plan = ?", rollout, n)
	return begun, done, fault(s.path, "read steps", err)
}

// record writes one row that belongs to a rollout; steady.ErrNoRollout where the
// rollout is not there.
func (s *Store) record(ctx context.Context, db *sql.DB, doing string, rollout int64, query string, args ...any) error {
	return s.write(ctx, db, doing, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		if unknownRollout(err) {
			return noRollout(rollout)
		}
		return err
	})
}
