package store

import (
	"context"
	"encoding/json"
	"fmt"

	"gesalpai.ch/steady"
)

// keptLogs holds what replicas of failed rollouts left behind.
const keptLogs = `
CREATE TABLE kept_logs (
	rollout INTEGER NOT NULL REFERENCES rollouts (id),
	service TEXT    NOT NULL,
	release INTEGER NOT NULL,
	replica TEXT    NOT NULL,
	lines   TEXT    NOT NULL,
	PRIMARY KEY (rollout, replica)
) STRICT, WITHOUT ROWID;
`

// KeepLog keeps the lines of a replica that a rollout removes, as long as the rollout's
// events. steady.ErrNoRollout.
func (s *Store) KeepLog(ctx context.Context, rollout int64, c steady.Replica, lines []steady.LogLine) error {
	text, err := encode(lines)
	if err != nil {
		return fmt.Errorf("keep a log: %w", err)
	}
	return s.record(ctx, s.quick, "keep a log", rollout,
		"INSERT OR REPLACE INTO kept_logs (rollout, service, release, replica, lines) VALUES (?, ?, ?, ?, ?)",
		rollout, c.Service, c.Release, c.Name, text)
}

// KeptLogs gives the lines kept of the replicas of one release of a project, by replica
// and rollout.
func (s *Store) KeptLogs(ctx context.Context, project string, release int) ([][]steady.LogLine, error) {
	scan := func(from row) (lines []steady.LogLine, err error) {
		var text string
		if err := from.Scan(&text); err != nil {
			return nil, err
		}
		return lines, json.Unmarshal([]byte(text), &lines)
	}
	out, err := list(ctx, s, scan, `SELECT lines FROM kept_logs WHERE release = ? AND rollout IN
		(SELECT id FROM rollouts WHERE project = ?) ORDER BY replica, rollout`, release, project)
	return out, fault(s.path, "read kept logs", err)
}
