package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"gesalpai.ch/steady"
)

// PutRoutes stores the routes, all or none: each replaces the one of its service,
// and one that is Gone deletes it. The release a route names serves from then on.
func (s *Store) PutRoutes(ctx context.Context, routes []steady.Route) error {
	return s.write(ctx, s.sure, "store routes", func(ctx context.Context, tx *sql.Tx) error {
		for _, r := range routes {
			if err := putRoute(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func putRoute(ctx context.Context, tx *sql.Tx, r steady.Route) error {
	if r.Gone {
		_, err := tx.ExecContext(ctx, "DELETE FROM routes WHERE project = ? AND service = ?", r.Project, r.Service)
		return errors.Join(err, left(ctx, tx, r), cooled(ctx, tx, r))
	}
	replicas, err := encode(r.Replicas)
	if err != nil {
		return err
	}
	ports, err := encode(r.Ports)
	if err != nil {
		return err
	}
	sticky, err := encode(r.Sticky)
	if err != nil {
		return err
	}
	rules, err := encode(r.Rules)
	if err != nil {
		return err
	}
	passing, err := encode(passingOf(r))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO routes (project, service, release, replicas, ports, rules, held, redirect, sticky, passing) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET release = excluded.release, replicas = excluded.replicas, ports = excluded.ports, rules = excluded.rules,
			held = excluded.held, redirect = excluded.redirect, sticky = excluded.sticky, passing = excluded.passing`,
		r.Project, r.Service, r.Release, replicas, ports, rules, r.Held, r.Redirect, sticky, passing)
	return err
}

// Routes lists the routes of a project, by service; of every project where it is
// empty.
func (s *Store) Routes(ctx context.Context, project string) ([]steady.Route, error) {
	out, err := list(ctx, s, scanRoute, `SELECT project, service, release, replicas, ports, rules, held, redirect, sticky, passing FROM routes
		WHERE ?1 = '' OR project = ?1 ORDER BY project, service`, project)
	return out, fault(s.path, "list routes", err)
}

func scanRoute(from row) (steady.Route, error) {
	var (
		r                      steady.Route
		replicas, ports, rules string
		passing                string
		sticky                 sql.NullString
	)
	if err := from.Scan(&r.Project, &r.Service, &r.Release, &replicas, &ports, &rules, &r.Held, &r.Redirect, &sticky, &passing); err != nil {
		return r, err
	}
	err := errors.Join(json.Unmarshal([]byte(replicas), &r.Replicas), json.Unmarshal([]byte(ports), &r.Ports),
		json.Unmarshal([]byte(rules), &r.Rules), decode(sticky, &r.Sticky))
	var p passage
	err = errors.Join(err, json.Unmarshal([]byte(passing), &p))
	r.Hold, r.Split, r.Elders, r.Assets, r.Ingress = p.Hold, p.Split, p.Elders, p.Assets, p.Ingress
	return r, err
}

// passage is what a route has only while a rollout passes, or for a time after, and
// its ingress, which has no column of its own.
type passage struct {
	Ingress *steady.Ingress `json:"ingress,omitempty"`
	Hold    *steady.Hold    `json:"hold,omitempty"`
	Split   *steady.Split   `json:"split,omitempty"`
	Elders  []string        `json:"elders,omitempty"`
	Assets  []string        `json:"assets,omitempty"`
}

func passingOf(r steady.Route) passage {
	return passage{r.Ingress, r.Hold, r.Split, r.Elders, r.Assets}
}
