package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gesalpai.ch/steady"
)

// damaged is the error of a store whose file is not what SQLite wrote: reading it
// again will not help.
type damaged struct{ told *steady.Error }

func (d damaged) Error() string { return d.told.Error() }
func (d damaged) Unwrap() error { return d.told }

// Damaged says whether err is about a store that is damaged, rather than one that
// cannot be read or written now, or that is not ours.
func Damaged(err error) bool { return errors.As(err, new(damaged)) }

// asideDir is where a store is moved that is out of use; each has its own.
func asideDir(path string) string {
	return filepath.Join(filepath.Dir(path), "aside", time.Now().UTC().Format("20060102T150405Z"))
}

// aside is the command that puts the file out of the way, with its log.
func aside(path string) string {
	dir := asideDir(path)
	return fmt.Sprintf("mkdir -p %s && mv %s* %s", dir, path, dir)
}

// MoveAside moves the store at path and its log out of the way, into a directory
// that it makes and gives: nothing of them is changed, and nothing overwritten.
func MoveAside(path string) (dir string, err error) {
	dir = asideDir(path)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", fmt.Errorf("move the store aside: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("move the store aside: %w", err)
	}
	for _, f := range []string{path + "-wal", path + "-shm", path + "-journal", path} { // the store last: it says that there is something to move
		err := os.Rename(f, filepath.Join(dir, filepath.Base(f)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("move the store aside: %w", err)
		}
	}
	return dir, nil
}
