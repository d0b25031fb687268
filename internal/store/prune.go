package store

import (
	"context"
	"database/sql"

	"gesalpai.ch/steady"
)

// What is kept. Rollouts themselves stay, with their receipts: they are small.
const (
	KeptRollouts = 200 // of each project, those that run besides: their events, plans and steps
	KeptReleases = 50  // of each service, besides the one that serves
)

// prune lets go what a project's newest rollout pushed out: one rollout's record
// at most, for each rollout pushes out one, and old releases of the services it
// makes releases of.
func prune(ctx context.Context, tx *sql.Tx, project string, made []steady.Release) error {
	for _, record := range []string{"events", "steps", "plans", "stages", "kept_logs"} {
		_, err := tx.ExecContext(ctx, "DELETE FROM "+record+` WHERE rollout IN (
			SELECT id FROM rollouts WHERE project = ? AND state NOT IN ('running', 'undoing')
			ORDER BY id DESC LIMIT 1 OFFSET ?)`, project, KeptRollouts)
		if err != nil {
			return err
		}
	}
	for _, r := range made {
		_, err := tx.ExecContext(ctx, `DELETE FROM releases WHERE project = ?1 AND service = ?2
			AND number <= (SELECT number FROM releases WHERE project = ?1 AND service = ?2 ORDER BY number DESC LIMIT 1 OFFSET ?3)
			AND number NOT IN (SELECT release FROM routes WHERE project = ?1 AND service = ?2)`,
			project, r.Service, KeptReleases)
		if err != nil {
			return err
		}
	}
	return nil
}
