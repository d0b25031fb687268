package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"gesalpai.ch/steady"
)

// makePrivate makes sure of the file at path, for its owner alone. SQLite gives
// its -wal and -shm files the mode of the file beside them, whatever the umask.
// A directory that is there keeps its mode: it may not be ours alone.
func makePrivate(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	at, err := f.Stat()
	if err != nil {
		return err
	}
	if !at.Mode().IsRegular() {
		return foreign(path, "is no regular file")
	}
	if at.Mode().Perm() == 0o600 {
		return nil
	}
	return f.Chmod(0o600)
}

// applicationID stands in the header of every store, so that no other program's
// database is taken for one: "STDY".
const applicationID = 0x53544459

// Positions in the header of an SQLite file, https://sqlite.org/fileformat2.html.
const (
	headerMagic   = "SQLite format 3\x00"
	headerSize    = 100
	headerAppFrom = 68
)

// checkHeader looks whether the file is fresh, a store or neither, before SQLite
// touches it: turning on the write-ahead log would already change a foreign file.
func checkHeader(path string) (fresh bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, fault(path, "open", err)
	}
	defer f.Close()
	h := make([]byte, headerSize)
	n, err := io.ReadFull(f, h)
	switch {
	case errors.Is(err, io.EOF):
		return true, nil // empty: ours to fill
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return false, fault(path, "open", err)
	case n < headerSize || !bytes.HasPrefix(h, []byte(headerMagic)):
		return false, damaged{foreign(path, "is damaged, or no database at all")}
	case binary.BigEndian.Uint32(h[headerAppFrom:]) != applicationID:
		return false, foreign(path, "is the database of another program")
	}
	// A rollback journal means that a crash stopped us before the log was on: SQLite
	// will empty the file again.
	_, err = os.Lstat(path + "-journal")
	return err == nil, nil
}

// foreign is the error for a file that is not ours to write.
func foreign(path, is string) *steady.Error {
	return steady.ErrStore.With(
		fmt.Sprintf("the store %s %s; it was left as it is", path, is),
		aside(path))
}
