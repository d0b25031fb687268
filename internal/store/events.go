package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

// Event appends to the stream of the rollout e.Rollout and sets e.Seq, which
// counts from 1 without gaps, and e.Time where it is zero. steady.ErrNoRollout.
func (s *Store) Event(ctx context.Context, e *steady.Event) error {
	kept := *e
	if kept.Time.IsZero() {
		kept.Time = time.Now().UTC()
	}
	kept.Seq = 0 // the column says it
	event, err := encode(kept)
	if err != nil {
		return fmt.Errorf("store event: %w", err)
	}
	db := s.quick
	if kept.Last() { // a final rollout whose stream has no end would be watched for ever
		db = s.sure
	}
	err = s.write(ctx, db, "store event", func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `INSERT INTO events (rollout, seq, event)
			VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM events WHERE rollout = ?1), ?2) RETURNING seq`,
			kept.Rollout, event).Scan(&kept.Seq)
		if unknownRollout(err) {
			return noRollout(kept.Rollout)
		}
		return err
	})
	if err != nil {
		return err
	}
	*e = kept
	return nil
}

// Events lists a rollout's events with Seq > after, in order. Those of a project's
// rollouts before the last KeptRollouts are gone.
func (s *Store) Events(ctx context.Context, rollout int64, after int64) ([]steady.Event, error) {
	out, err := list(ctx, s, scanEvent,
		"SELECT seq, event FROM events WHERE rollout = ? AND seq > ? ORDER BY seq", rollout, after)
	return out, fault(s.path, "list events", err)
}

func scanEvent(from row) (steady.Event, error) {
	var (
		e     steady.Event
		seq   int64
		event string
	)
	if err := from.Scan(&seq, &event); err != nil {
		return e, err
	}
	err := json.Unmarshal([]byte(event), &e)
	e.Seq = seq
	return e, err
}
