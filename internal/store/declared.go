package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
)

// declared is the schema of what the Compose files of a project's last deploy have: what
// runs of any other service is an orphan.
const declared = `
CREATE TABLE declared (
	project  TEXT PRIMARY KEY,
	services TEXT NOT NULL
) STRICT, WITHOUT ROWID;
`

// PutDeclared stores which services a project's Compose files have.
func (s *Store) PutDeclared(ctx context.Context, project string, services []string) error {
	text, err := encode(services)
	if err != nil {
		return err
	}
	return s.write(ctx, s.sure, "store the services of the files", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO declared (project, services) VALUES (?, ?)
			ON CONFLICT DO UPDATE SET services = excluded.services`, project, text)
		return err
	})
}

// Declared lists the services that a project's Compose files had at its last deploy;
// none where that is not known.
func (s *Store) Declared(ctx context.Context, project string) ([]string, error) {
	var text string
	err := s.read.QueryRowContext(ctx, "SELECT services FROM declared WHERE project = ?", project).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	var out []string
	if err == nil {
		err = json.Unmarshal([]byte(text), &out)
	}
	return out, fault(s.path, "read the services of the files", err)
}
