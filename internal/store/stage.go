package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gesalpai.ch/steady"
)

// PutStage stores how far the rollout's canaries are. steady.ErrNoRollout.
func (s *Store) PutStage(ctx context.Context, rollout int64, stage steady.Stage) error {
	text, err := encode(stage)
	if err != nil {
		return fmt.Errorf("store stage: %w", err)
	}
	return s.record(ctx, s.sure, "store stage", rollout, `INSERT INTO stages (rollout, stage) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET stage = excluded.stage`, rollout, text)
}

// Stage is what PutStage stored last, the zero one where it never did.
func (s *Store) Stage(ctx context.Context, rollout int64) (steady.Stage, error) {
	var (
		out  steady.Stage
		text sql.NullString
	)
	err := s.read.QueryRowContext(ctx, "SELECT stage FROM stages WHERE rollout = ?", rollout).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return out, nil
	}
	if err == nil {
		err = decode(text, &out)
	}
	return out, fault(s.path, "read stage", err)
}
