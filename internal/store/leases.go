package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"gesalpai.ch/steady"
)

// BeatLease keeps what a rollout's lease says now, in the place of what it said
// before. A heartbeat needs no flush: power that is lost ends the worker too.
func (s *Store) BeatLease(ctx context.Context, l steady.Lease) error {
	text, err := encode(l)
	if err != nil {
		return err
	}
	return s.write(ctx, s.quick, "store lease", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO leases (project, rollout, lease) VALUES (?, ?, ?)
			ON CONFLICT (rollout) WHERE rollout > 0 DO UPDATE SET lease = excluded.lease`, l.Project, l.Rollout, text)
		return err
	})
}

// KeepLeases replaces the leases that persons have of a project by those given.
func (s *Store) KeepLeases(ctx context.Context, project string, persons []steady.Lease) error {
	return s.write(ctx, s.sure, "store leases", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM leases WHERE project = ? AND rollout = 0", project); err != nil {
			return err
		}
		for _, l := range persons {
			text, err := encode(l)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO leases (project, rollout, lease) VALUES (?, 0, ?)", project, text); err != nil {
				return err
			}
		}
		return nil
	})
}

// DropLease drops the lease of a rollout.
func (s *Store) DropLease(ctx context.Context, rollout int64) error {
	return s.write(ctx, s.quick, "drop lease", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM leases WHERE rollout = ?", rollout)
		return err
	})
}

// Leases lists what was kept, in the order in which it was first.
func (s *Store) Leases(ctx context.Context) ([]steady.Lease, error) {
	out, err := list(ctx, s, func(from row) (l steady.Lease, err error) {
		var text string
		if err := from.Scan(&text); err != nil {
			return l, err
		}
		return l, json.Unmarshal([]byte(text), &l)
	}, "SELECT lease FROM leases ORDER BY id")
	return out, fault(s.path, "list leases", err)
}
