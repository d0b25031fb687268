package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

// PutReading keeps what the proxy had counted at r.At, until the rollout has ended.
// steady.ErrNoRollout.
func (s *Store) PutReading(ctx context.Context, rollout int64, r steady.Reading) error {
	reading, err := encode(r)
	if err != nil {
		return fmt.Errorf("store reading: %w", err)
	}
	return s.record(ctx, s.quick, "store reading", rollout,
		"INSERT OR REPLACE INTO readings (rollout, at, reading) VALUES (?, ?, ?)", rollout, nanos(r.At), reading)
}

// DropReadings lets those readings go.
func (s *Store) DropReadings(ctx context.Context, rollout int64, at []time.Time) error {
	return s.write(ctx, s.quick, "drop readings", func(ctx context.Context, tx *sql.Tx) error {
		for _, t := range at {
			if _, err := tx.ExecContext(ctx, "DELETE FROM readings WHERE rollout = ? AND at = ?", rollout, nanos(t)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Readings lists what is kept of a rollout's readings, oldest first.
func (s *Store) Readings(ctx context.Context, rollout int64) ([]steady.Reading, error) {
	scan := func(from row) (r steady.Reading, err error) {
		var reading string
		if err := from.Scan(&reading); err != nil {
			return r, err
		}
		err = json.Unmarshal([]byte(reading), &r)
		return r, err
	}
	out, err := list(ctx, s, scan, "SELECT reading FROM readings WHERE rollout = ? ORDER BY at", rollout)
	return out, fault(s.path, "list readings", err)
}
