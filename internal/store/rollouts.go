package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

const rolloutColumns = "id, project, kind, number, services, state, who, started, ended, error, receipt"

// briefColumns are the same with receipts as steady.Receipt.Brief gives them.
const briefColumns = "id, project, kind, number, services, state, who, started, ended, error, json_remove(receipt, '$.series')"

// Rollout finds one rollout; steady.ErrNoRollout.
func (s *Store) Rollout(ctx context.Context, id int64) (steady.Rollout, error) {
	r, err := scanRollout(s.read.QueryRowContext(ctx, "SELECT "+rolloutColumns+" FROM rollouts WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return steady.Rollout{}, noRollout(id)
	}
	return r, fault(s.path, "read rollout", err)
}

// Rollouts lists a project's rollouts, newest first: at most limit, all where
// limit is not above 0; with brief receipts. An empty project means every project.
func (s *Store) Rollouts(ctx context.Context, project string, limit int) ([]steady.Rollout, error) {
	if limit <= 0 {
		limit = -1
	}
	out, err := list(ctx, s, scanRollout, "SELECT "+briefColumns+
		" FROM rollouts WHERE ?1 = '' OR project = ?1 ORDER BY id DESC LIMIT ?2", project, limit)
	return out, fault(s.path, "list rollouts", err)
}

// Unfinished lists the rollouts that a crash left running or undoing, oldest
// first.
func (s *Store) Unfinished(ctx context.Context) ([]steady.Rollout, error) {
	out, err := list(ctx, s, scanRollout, "SELECT "+rolloutColumns+
		" FROM rollouts WHERE state IN ('running', 'undoing') ORDER BY id")
	return out, fault(s.path, "list unfinished rollouts", err)
}

// Update stores the rollout's state, end, error and receipt; steady.ErrNoRollout.
// Once it is done, the releases that its services' routes name have served: a
// rollback may go back to them.
func (s *Store) Update(ctx context.Context, r steady.Rollout) error {
	failed, err := encode(r.Error)
	if err != nil {
		return fmt.Errorf("update rollout: %w", err)
	}
	receipt, err := encode(r.Receipt)
	if err != nil {
		return fmt.Errorf("update rollout: %w", err)
	}
	return s.write(ctx, s.sure, "update rollout", func(ctx context.Context, tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, "UPDATE rollouts SET state = ?, ended = ?, error = ?, receipt = ? WHERE id = ?",
			r.State, nanos(r.Ended), failed, receipt, r.ID)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, noRollout(r.ID))
		}
		if r.Final() {
			if _, err := tx.ExecContext(ctx, "DELETE FROM readings WHERE rollout = ?", r.ID); err != nil {
				return err
			}
		}
		if r.State != steady.RolloutDone {
			return nil
		}
		return noteServed(ctx, tx, r)
	})
}

// noteServed marks the releases that the done rollout's services route to.
func noteServed(ctx context.Context, tx *sql.Tx, r steady.Rollout) error {
	_, err := tx.ExecContext(ctx, `UPDATE releases SET served = ? WHERE project = ?
		AND service IN (SELECT value FROM json_each((SELECT services FROM rollouts WHERE id = ?)))
		AND EXISTS (SELECT 1 FROM routes WHERE routes.project = releases.project
			AND routes.service = releases.service AND routes.release = releases.number)`,
		nanos(r.Ended), r.Project, r.ID)
	return err
}

// Projects lists every project that was ever rolled out, by name; those that were
// taken down too, for their history stays.
func (s *Store) Projects(ctx context.Context) ([]string, error) {
	name := func(r row) (p string, err error) { return p, r.Scan(&p) }
	out, err := list(ctx, s, name, "SELECT DISTINCT project FROM rollouts ORDER BY project")
	return out, fault(s.path, "list projects", err)
}

// Standing lists the projects of Projects of which something serves, or that were not
// taken down since they were rolled out last.
func (s *Store) Standing(ctx context.Context) ([]string, error) {
	name := func(r row) (p string, err error) { return p, r.Scan(&p) }
	out, err := list(ctx, s, name, `SELECT DISTINCT project FROM rollouts o WHERE EXISTS (SELECT 1 FROM routes r WHERE r.project = o.project)
		OR coalesce((SELECT kind FROM rollouts d WHERE d.project = o.project AND d.state = ? ORDER BY id DESC LIMIT 1), '') <> ?
		ORDER BY project`, steady.RolloutDone, steady.KindDown)
	return out, fault(s.path, "list projects", err)
}

func insertRollout(ctx context.Context, tx *sql.Tx, r *steady.Rollout) error {
	services, err := encode(r.Services)
	if err != nil {
		return err
	}
	return tx.QueryRowContext(ctx, `INSERT INTO rollouts (project, kind, number, services, state, who, started, ended)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		r.Project, r.Kind, r.Number, services, r.State, r.Who, nanos(r.Started), nanos(r.Ended)).Scan(&r.ID)
}

func scanRollout(from row) (steady.Rollout, error) {
	var (
		r               steady.Rollout
		services        string
		failed, receipt sql.NullString
		started, ended  int64
	)
	err := from.Scan(&r.ID, &r.Project, &r.Kind, &r.Number, &services, &r.State, &r.Who, &started, &ended, &failed, &receipt)
	if err != nil {
		return steady.Rollout{}, err
	}
	r.Started, r.Ended = moment(started), moment(ended)
	err = errors.Join(json.Unmarshal([]byte(services), &r.Services), decode(failed, &r.Error), decode(receipt, &r.Receipt))
	return r, err
}

func noRollout(id int64) *steady.Error {
	return steady.ErrNoRollout.With(fmt.Sprintf("no rollout %d", id), "steady rollouts")
}

// nanos and moment carry times to and from the file.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
