package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"gesalpai.ch/steady"
)

// What is kept of notifications, of each project. The oldest that are on their way
// are given up where there are too many: a receiver that is dead for good must not
// fill the disk.
const (
	KeptDeliveries   = 100 // that are over
	MostOnTheirWay   = 500
	deliveryDropped  = "too many were waiting"
	deliveryColumns  = "id, project, rollout, notice, receiver, name, body, made, due, tries, ended, error"
	insertDelivery   = "INSERT INTO outbox (project, rollout, notice, receiver, name, body, made, due, tries, ended, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '') RETURNING id"
	dropOldestOfMany = `UPDATE outbox SET ended = ?, due = 0, error = '` + deliveryDropped + `' WHERE id IN (
		SELECT id FROM outbox WHERE project = ? AND ended = 0 ORDER BY id DESC LIMIT -1 OFFSET ?)`
	forgetOldest = `DELETE FROM outbox WHERE id IN (
		SELECT id FROM outbox WHERE project = ? AND ended > 0 ORDER BY id DESC LIMIT -1 OFFSET ?)`
)

// PutReceivers replaces the receivers of a project.
func (s *Store) PutReceivers(ctx context.Context, project string, all []steady.Receiver) error {
	text, err := encode(all)
	if err != nil {
		return fmt.Errorf("store receivers: %w", err)
	}
	return s.write(ctx, s.quick, "store receivers", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO receivers (project, receivers) VALUES (?, ?) ON CONFLICT (project) DO UPDATE SET receivers = excluded.receivers", project, text)
		return err
	})
}

// Receivers lists the receivers of a project.
func (s *Store) Receivers(ctx context.Context, project string) ([]steady.Receiver, error) {
	all, err := list(ctx, s, func(from row) (out []steady.Receiver, err error) {
		var text sql.NullString
		if err := from.Scan(&text); err != nil {
			return nil, err
		}
		return out, decode(text, &out)
	}, "SELECT receivers FROM receivers WHERE project = ?", project)
	if err != nil || len(all) == 0 {
		return nil, fault(s.path, "list receivers", err)
	}
	return all[0], nil
}

// Enqueue writes deliveries down and sets their IDs. What is too much goes.
func (s *Store) Enqueue(ctx context.Context, ds []steady.Delivery) error {
	return s.write(ctx, s.sure, "store notification", func(ctx context.Context, tx *sql.Tx) error {
		for i, d := range ds {
			receiver, err := encode(d.Receiver)
			if err != nil {
				return err
			}
			err = tx.QueryRowContext(ctx, insertDelivery, d.Project, d.Rollout, d.Notice, receiver, d.Name, string(d.Body), nanos(d.Made), nanos(d.Due)).Scan(&ds[i].ID)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, dropOldestOfMany, nanos(d.Made), d.Project, MostOnTheirWay); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, forgetOldest, d.Project, KeptDeliveries); err != nil {
				return err
			}
		}
		return nil
	})
}

// Waiting lists what is on its way, oldest first.
func (s *Store) Waiting(ctx context.Context) ([]steady.Delivery, error) {
	out, err := list(ctx, s, scanDelivery, "SELECT "+deliveryColumns+" FROM outbox WHERE ended = 0 ORDER BY id")
	return out, fault(s.path, "list notifications", err)
}

// Deliveries lists a project's, newest first.
func (s *Store) Deliveries(ctx context.Context, project string, limit int) ([]steady.Delivery, error) {
	out, err := list(ctx, s, scanDelivery, "SELECT "+deliveryColumns+" FROM outbox WHERE project = ? ORDER BY id DESC LIMIT ?", project, limit)
	return out, fault(s.path, "list notifications", err)
}

// Attempted stores what became of a delivery's last try. One that is gone is no error.
func (s *Store) Attempted(ctx context.Context, d steady.Delivery) error {
	return s.write(ctx, s.quick, "store notification", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE outbox SET tries = ?, due = ?, ended = ?, error = ? WHERE id = ? AND ended = 0",
			d.Tries, nanos(d.Due), nanos(d.Ended), d.Error, d.ID)
		return err
	})
}

func scanDelivery(from row) (d steady.Delivery, err error) {
	var receiver, body string
	var made, due, ended int64
	if err := from.Scan(&d.ID, &d.Project, &d.Rollout, &d.Notice, &receiver, &d.Name, &body, &made, &due, &d.Tries, &ended, &d.Error); err != nil {
		return d, err
	}
	d.Body, d.Made, d.Due, d.Ended = []byte(body), moment(made), moment(due), moment(ended)
	return d, json.Unmarshal([]byte(receiver), &d.Receiver)
}
