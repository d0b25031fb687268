package store

import (
	"context"
	"database/sql"

	"gesalpai.ch/steady"
)

// KeepWarm notes that a release is kept running, in place of any other of its
// service.
func (s *Store) KeepWarm(ctx context.Context, w steady.Warm) error {
	return s.write(ctx, s.sure, "store what is kept warm", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO warm (project, service, release, until) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET release = excluded.release, until = excluded.until`, w.Project, w.Service, w.Release, nanos(w.Until))
		return err
	})
}

// Cool notes that the release is not kept running any more. Another release of the
// service that is stays.
func (s *Store) Cool(ctx context.Context, w steady.Warm) error {
	return s.write(ctx, s.sure, "store what is kept warm", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM warm WHERE project = ? AND service = ? AND release = ?", w.Project, w.Service, w.Release)
		return err
	})
}

// Warm lists what is kept running in a project, by service; in every project where
// it is empty.
func (s *Store) Warm(ctx context.Context, project string) ([]steady.Warm, error) {
	out, err := list(ctx, s, scanWarm, `SELECT project, service, release, until FROM warm
		WHERE ?1 = '' OR project = ?1 ORDER BY project, service`, project)
	return out, fault(s.path, "list what is kept warm", err)
}

func scanWarm(from row) (w steady.Warm, err error) {
	var until int64
	err = from.Scan(&w.Project, &w.Service, &w.Release, &until)
	w.Until = moment(until)
	return w, err
}

// cooled ends what is kept of a service that leaves.
func cooled(ctx context.Context, tx *sql.Tx, r steady.Route) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM warm WHERE project = ? AND service = ?", r.Project, r.Service)
	return err
}
