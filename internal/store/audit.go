package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"gesalpai.ch/steady"
)

// PutDeed appends a deed to the audit log, before it is done, and sets its ID, and
// its Time where that is zero. Deeds older than KeptDeeds days go.
func (s *Store) PutDeed(ctx context.Context, d *steady.Deed) error {
	kept := *d
	if kept.Time.IsZero() {
		kept.Time = time.Now().UTC()
	}
	text, err := encode(kept)
	if err != nil {
		return err
	}
	err = s.write(ctx, s.quick, "write to the audit log", func(ctx context.Context, tx *sql.Tx) error {
		if err := forget(ctx, tx, kept.Time.AddDate(0, 0, -KeptDeeds-1)); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "INSERT INTO deeds (time, project, deed) VALUES (?, ?, ?) RETURNING id",
			kept.Time.UnixNano(), kept.Project, text).Scan(&kept.ID)
	})
	if err != nil {
		return err
	}
	*d = kept
	return nil
}

// forget lets deeds before a moment go.
func forget(ctx context.Context, tx *sql.Tx, before time.Time) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM outcomes WHERE deed IN (SELECT id FROM deeds WHERE time < ?)", before.UnixNano()); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM deeds WHERE time < ?", before.UnixNano())
	return err
}

// PutOutcome appends what came of a deed: its Outcome, Code, Rollout and Ended.
func (s *Store) PutOutcome(ctx context.Context, d steady.Deed) error {
	if d.Ended.IsZero() {
		d.Ended = time.Now().UTC()
	}
	return s.write(ctx, s.quick, "write to the audit log", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO outcomes (deed, time, outcome, code, rollout) VALUES (?, ?, ?, ?, ?)",
			d.ID, d.Ended.UnixNano(), d.Outcome, d.Code, d.Rollout)
		return err
	})
}

// Deeds reads the audit log, newest first, each deed with what came of it.
func (s *Store) Deeds(ctx context.Context, q steady.AuditQuery) ([]steady.Deed, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = -1
	}
	out, err := list(ctx, s, scanDeed, `SELECT d.id, d.deed, coalesce(o.time, 0), coalesce(o.outcome, ''), coalesce(o.code, ''),
			coalesce(o.rollout, 0), coalesce(r.state, '')
		FROM deeds d LEFT JOIN outcomes o ON o.deed = d.id LEFT JOIN rollouts r ON r.id = o.rollout
		WHERE (?1 = '' OR d.project = ?1) AND d.time >= ?2 ORDER BY d.id DESC LIMIT ?3`, q.Project, nanos(q.Since), limit)
	return out, fault(s.path, "read the audit log", err)
}

func scanDeed(from row) (d steady.Deed, err error) {
	var id, ended, rollout int64
	var text, outcome, code, state string
	if err := from.Scan(&id, &text, &ended, &outcome, &code, &rollout, &state); err != nil {
		return d, err
	}
	err = json.Unmarshal([]byte(text), &d)
	d.ID, d.Ended, d.Outcome, d.Code, d.Rollout, d.State = id, moment(ended), outcome, code, rollout, state
	return d, err
}
