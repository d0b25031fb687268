package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"gesalpai.ch/steady"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// fault turns what SQLite or the system said while doing into steady.ErrStore,
// with the path and a hint. What has a code already, and a context's end, pass.
func fault(path, doing string, err error) error {
	var (
		told  *steady.Error
		given *json.MarshalerError // the caller's, not the file's
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(damaged)):
		return err
	case errors.As(err, &told):
		return told
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &given):
		return fmt.Errorf("%s: %w", doing, err)
	}
	what, hint := cause(path, err)
	fault := steady.ErrStore.With(fmt.Sprintf("the store %s %s (%s)", path, what, doing), hint)
	if c := primary(err); c == sqlite3.SQLITE_CORRUPT || c == sqlite3.SQLITE_NOTADB {
		return damaged{fault}
	}
	return fault
}

// cause says in a few words what is wrong with the file at path, and which
// command tells more.
func cause(path string, err error) (what, hint string) {
	dir := filepath.Dir(path)
	space := "df -h " + dir
	switch primary(err) {
	case sqlite3.SQLITE_FULL:
		return "cannot be written: the disk is full", space
	case sqlite3.SQLITE_READONLY:
		return "cannot be written: it is read-only", "findmnt -T " + dir
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return "is damaged: " + err.Error(), "restart the steady daemon, which moves the store aside and recovers what serves"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "cannot be written: another process holds its lock", "fuser -v " + path
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		// SQLite keeps the system's error to itself: a full disk is told this way where it
		// cannot grow its -shm file, and so are quotas and a file system that has become
		// read-only. The directory tells which.
		if why := tryWrite(dir); why != nil {
			return systemCause(path, why)
		}
		return "cannot be used: " + err.Error(), space
	}
	return systemCause(path, err)
}

// systemCause is cause for what the system said.
func systemCause(path string, err error) (what, hint string) {
	dir := filepath.Dir(path)
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "cannot be written: the disk is full", "df -h " + dir
	case errors.Is(err, syscall.EDQUOT):
		return "cannot be written: a quota of the disk is used up", "quota -s, and du -sh " + dir
	case errors.Is(err, syscall.EROFS):
		return "cannot be written: its file system is read-only", "findmnt -T " + dir
	case errors.Is(err, fs.ErrPermission):
		return "cannot be opened: permission denied", "ls -ld " + dir + " " + path
	case errors.Is(err, sql.ErrConnDone), err.Error() == "sql: database is closed":
		return "is closed", ""
	}
	return "cannot be used: " + err.Error(), "ls -l " + dir
}

// tryWrite is why the system lets nobody write to a directory; nil where it does.
func tryWrite(dir string) error {
	f, err := os.CreateTemp(dir, ".steady-try-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is empty, or the disk is
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Close())
}

// primary is SQLite's primary result code, 0 where err is not of SQLite.
func primary(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return sqlite3.SQLITE_OK
	}
	return e.Code() & 0xff
}

// unknownRollout says whether err is that of a row for a rollout that is not
// there: the schema has no other constraint that a caller could break.
func unknownRollout(err error) bool { return primary(err) == sqlite3.SQLITE_CONSTRAINT }
