package store

import (
	"context"
	"database/sql"

	"gesalpai.ch/steady"
)

// volumes is the schema of the project's anonymous volumes: each belongs to one replica
// number, and of several at one path the last row is in use.
const volumes = `
CREATE TABLE volumes (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	project TEXT    NOT NULL,
	service TEXT    NOT NULL,
	number  INTEGER NOT NULL,
	path    TEXT    NOT NULL,
	name    TEXT    NOT NULL,
	UNIQUE (project, name)
) STRICT;
`

// remember stores a project's anonymous volumes, those in use last.
func remember(ctx context.Context, tx *sql.Tx, project string, volumes []steady.AnonymousVolume) error {
	for _, v := range volumes {
		_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO volumes (project, service, number, path, name) VALUES (?, ?, ?, ?, ?)",
			project, v.Service, v.Number, v.Path, v.Name)
		if err != nil {
			return err
		}
	}
	return nil
}

// Volumes lists the anonymous volumes that plans of the project have named, until
// ForgetVolumes. Of two with one service, number and path the later is in use.
func (s *Store) Volumes(ctx context.Context, project string) ([]steady.AnonymousVolume, error) {
	out, err := list(ctx, s, scanVolume, "SELECT service, number, path, name FROM volumes WHERE project = ? ORDER BY id", project)
	return out, fault(s.path, "list anonymous volumes", err)
}

func scanVolume(from row) (v steady.AnonymousVolume, err error) {
	return v, from.Scan(&v.Service, &v.Number, &v.Path, &v.Name)
}

// ForgetVolumes notes that a service's anonymous volumes have been removed, or those of
// the whole project where service is empty.
func (s *Store) ForgetVolumes(ctx context.Context, project, service string) error {
	return s.write(ctx, s.sure, "forget anonymous volumes", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM volumes WHERE project = ?1 AND (?2 = '' OR service = ?2)", project, service)
		return err
	})
}
