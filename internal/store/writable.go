package store

import (
	"context"
	"database/sql"
)

// Writable says why nothing can be written now, nil where it can: it writes, to the
// disk, what is there already. steady.ErrStore.
func (s *Store) Writable(ctx context.Context) error {
	return s.write(ctx, s.sure, "write to the store", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE tables SET version = version")
		return err
	})
}
