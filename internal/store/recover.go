package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

// Recovered is what could be found out about services that the store has lost, all
// of one project.
type Recovered struct {
	Project     string
	Releases    []steady.Release     // that serve, with their numbers
	Routes      []steady.Route       // in force
	Maintenance []steady.Maintenance // of the project; nil: what the store has stays
	Rollout     int64                // the highest rollout that a container's label names
	Why         string               // for a person: how it was found out
}

// Recover stores it in one transaction, and a rollout of steady.KindRecovery that
// tells of it. The rollouts that follow have IDs above Recovered.Rollout.
func (s *Store) Recover(ctx context.Context, found Recovered) (steady.Rollout, error) {
	now := time.Now().UTC()
	r := steady.Rollout{Project: found.Project, Kind: steady.KindRecovery, State: steady.RolloutDone, Who: "steady daemon", Started: now, Ended: now}
	for _, route := range found.Routes {
		r.Services = append(r.Services, route.Service)
	}
	for _, rel := range found.Releases {
		r.Number = max(r.Number, rel.Number)
	}
	err := s.write(ctx, s.sure, "recover releases", func(ctx context.Context, tx *sql.Tx) error {
		if err := countOn(ctx, tx, found.Rollout); err != nil {
			return err
		}
		if err := insertRollout(ctx, tx, &r); err != nil {
			return err
		}
		if err := insertRecovered(ctx, tx, r, found); err != nil {
			return err
		}
		event, err := encode(steady.Event{Time: now, Rollout: r.ID, Kind: steady.EventDone, Project: r.Project, State: r.State, Text: found.Why})
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO events (rollout, seq, event) VALUES (?, 1, ?)", r.ID, event)
		return err
	})
	return r, err
}

// countOn makes the IDs of rollouts go on above one that was given before the store was lost.
func countOn(ctx context.Context, tx *sql.Tx, rollout int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) SELECT 'rollouts', 0
		WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'rollouts')`)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'rollouts'", rollout)
	return err
}

func insertRecovered(ctx context.Context, tx *sql.Tx, r steady.Rollout, found Recovered) error {
	for _, rel := range found.Releases {
		rel.Rollout, rel.Created, rel.Served = r.ID, r.Started, r.Ended
		rel.Digest = rel.Spec.Digest()
		if err := insertRelease(ctx, tx, rel); err != nil {
			return fmt.Errorf("insert %s: %w", rel.Ref(), err)
		}
	}
	for _, route := range found.Routes {
		if err := putRoute(ctx, tx, route); err != nil {
			return err
		}
	}
	if found.Maintenance == nil {
		return nil
	}
	return putMaintenance(ctx, tx, found.Project, found.Maintenance)
}
