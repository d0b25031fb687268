// Package store keeps what steady decided in one SQLite file: rollouts, releases,
// plans, the journal of their steps, events, receipts and routes. It is the
// journal of package rollout and the memory of the daemon.
//
// # What a crash may lose
//
// A call that returned nil survives the death of the process, whatever it was.
// Against the loss of power there are two grades, because a rollout makes about
// sixty calls and a disk may take ten milliseconds for each flush:
//
//   - sure (Accept, Planned, Update, PutRoutes, a rollout's last
//     event): flushed to the disk before the call returns;
//   - quick (Begin, End, Image, other events): written, and flushed by the next
//     sure call or checkpoint.
//
// SQLite's log is read back in order, so power loss can only take quick calls made
// after the last sure one. That shift, the commit point, is a sure call; what it can
// take besides are steps, and each step may be done twice (rollout.Runtime).
//
// Environment values are secrets and stand in the specs of releases: the file is
// 0600, and nothing of a spec goes into an error.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"gesalpai.ch/steady"
	"modernc.org/sqlite" // registers the driver "sqlite"
)

// busyTimeout is how long a call waits for another process that holds the
// file's write lock, such as a person's sqlite3 shell.
const busyTimeout = 5 * time.Second

// Store is one open store. Its methods may be called from several goroutines;
// their errors are steady.ErrStore where the file cannot be read or written.
type Store struct {
	path string

	// writing is held over each write: SQLite takes one writer at a time and would
	// have the next one poll, which costs milliseconds.
	writing sync.Mutex
	sure    *sql.DB // synchronous=FULL
	quick   *sql.DB // synchronous=NORMAL

	read *sql.DB // sees the last committed state, never waits for a writer
}

// Open opens the store at path and brings its schema up to date. What is missing
// is made: the file with mode 0600, its directory with mode 0700. A file that is
// damaged, of another program or of a newer steady is steady.ErrStore and stays
// as it is.
func Open(path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the store: %w", err)
	}
	if err := makePrivate(path); err != nil {
		return nil, fault(path, "open", err)
	}
	fresh, err := checkHeader(path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path}
	if err := s.open(fresh); err != nil {
		return nil, errors.Join(fault(path, "open", err), s.Close())
	}
	return s, nil
}

func (s *Store) open(fresh bool) error {
	pragmas := []string{"journal_mode(WAL)", "synchronous(FULL)"}
	if fresh {
		// The driver runs pragmas in the order of their names, so this one comes first:
		// the file says whose it is before it says anything else.
		pragmas = append(pragmas, fmt.Sprintf("application_id(%d)", applicationID))
	}
	var err error
	if s.sure, err = connect(s.path, 1, pragmas...); err != nil {
		return err
	}
	if err := migrate(s.path, s.sure); err != nil {
		return err
	}
	if err := keepLog(s.sure); err != nil {
		return err
	}
	if s.quick, err = connect(s.path, 1, "synchronous(NORMAL)"); err != nil {
		return err
	}
	s.read, err = connect(s.path, 4, "query_only(1)")
	return err
}

// connect opens a pool of at most n connections to path, each with the pragmas.
func connect(path string, n int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{
		"_txlock": {"immediate"}, // take the write lock first, rather than fail at the first write
		"_pragma": append([]string{
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
			"foreign_keys(1)",
		}, pragmas...),
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	if err := db.Ping(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// keepLog lets the -wal and -shm files stay when the store is closed by db, the last
// to close. Their room is then there already, so that a daemon can start, and
// tell what serves, on a disk that got full meanwhile.
func keepLog(db *sql.DB) error {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	keep := func(driver any) error {
		_, err := driver.(sqlite.FileControl).FileControlPersistWAL("main", 1)
		return err
	}
	return errors.Join(conn.Raw(keep), conn.Close())
}

// Close closes the file. Calls that run are waited for.
func (s *Store) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	var errs []error
	for _, db := range []*sql.DB{s.read, s.quick, s.sure} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// write runs do in one transaction on db, which is s.sure or s.quick. Once begun
// it is carried through though ctx ends: an answer after a millisecond is better
// than not knowing whether it was written.
func (s *Store) write(ctx context.Context, db *sql.DB, doing string, do func(context.Context, *sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	ctx = context.WithoutCancel(ctx)
	s.writing.Lock()
	defer s.writing.Unlock()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fault(s.path, doing, err)
	}
	defer tx.Rollback() // after a commit it does nothing
	if err := do(ctx, tx); err != nil {
		return fault(s.path, doing, err)
	}
	return fault(s.path, doing, tx.Commit())
}

// one is a write of a single row that must be there: missing is returned where it
// is not.
func (s *Store) one(ctx context.Context, db *sql.DB, doing string, missing *steady.Error, query string, args ...any) error {
	return s.write(ctx, db, doing, func(ctx context.Context, tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err == nil && n == 0 {
			return missing
		}
		return err
	})
}
