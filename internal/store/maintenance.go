package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"gesalpai.ch/steady"
)

// PutMaintenance replaces all maintenances of a project by those given.
func (s *Store) PutMaintenance(ctx context.Context, project string, all []steady.Maintenance) error {
	return s.write(ctx, s.sure, "store maintenance", func(ctx context.Context, tx *sql.Tx) error {
		return putMaintenance(ctx, tx, project, all)
	})
}

func putMaintenance(ctx context.Context, tx *sql.Tx, project string, all []steady.Maintenance) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM maintenance WHERE project = ?", project); err != nil {
		return err
	}
	for _, m := range all {
		m.Project = project
		text, err := encode(m)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO maintenance (project, service, maintenance) VALUES (?, ?, ?)", project, m.Service, text)
		if err != nil {
			return err
		}
	}
	return nil
}

// Maintenance lists the maintenances of every project, by project and service.
func (s *Store) Maintenance(ctx context.Context) ([]steady.Maintenance, error) {
	out, err := list(ctx, s, scanMaintenance, "SELECT maintenance FROM maintenance ORDER BY project, service")
	return out, fault(s.path, "list maintenance", err)
}

func scanMaintenance(from row) (m steady.Maintenance, err error) {
	var text string
	if err := from.Scan(&text); err != nil {
		return m, err
	}
	return m, json.Unmarshal([]byte(text), &m)
}

// left ends the maintenance of a service that has left, and that of its project
// when nothing of it is left.
func left(ctx context.Context, tx *sql.Tx, r steady.Route) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM maintenance WHERE project = ?1 AND
		(service = ?2 OR NOT EXISTS (SELECT 1 FROM routes WHERE project = ?1))`, r.Project, r.Service)
	return err
}
