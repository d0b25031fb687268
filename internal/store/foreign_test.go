package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/store"
)

func TestOpen_LeavesAFileThatIsNoStoreAsItIs(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		says string
	}{
		"text": {func(t *testing.T, path string) {
			try(t, os.WriteFile(path, []byte("my shopping list\n"), 0o600))
		}, "no database at all"},
		"another program's": {func(t *testing.T, path string) {
			execute(t, path, "CREATE TABLE theirs (x)")
		}, "another program"},
		"newer": {func(t *testing.T, path string) {
			s, err := store.Open(path)
			try(t, err)
			try(t, s.Close())
			execute(t, path, "PRAGMA user_version = 99")
		}, "newer steady"},
		"damaged": {damaged, "damaged"},
		"cut short": {func(t *testing.T, path string) {
			damaged(t, path)
			try(t, os.Truncate(path, 60))
		}, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "steady.db")
			c.make(t, path)
			before, err := os.ReadFile(path)
			try(t, err)
			s, err := store.Open(path)
			if err == nil {
				try(t, s.Close())
				t.Fatal("it was opened")
			}
			checkStoreError(t, err, path, c.says)
			after, err := os.ReadFile(path)
			try(t, err)
			if !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// checkStoreError wants steady.ErrStore that names the path, says why, and has a
// hint.
func checkStoreError(t *testing.T, err error, path, says string) {
	t.Helper()
	if !errors.Is(err, steady.ErrStore) {
		t.Fatalf("%v, want steady.ErrStore", err)
	}
	e := steady.AsError(err)
	if !strings.Contains(e.Text, path) || !strings.Contains(e.Text, says) || e.Hint == "" {
		t.Errorf("text %q with hint %q; want the path and %q", e.Text, e.Hint, says)
	}
}

// damaged makes a store and overwrites the middle of it. Its log goes: it would mend
// the pages that stand in it.
func damaged(t *testing.T, path string) {
	t.Helper()
	s, err := store.Open(path)
	try(t, err)
	for range 20 {
		accepted(t, s, "shop", "api", "web")
	}
	try(t, s.Close())
	try(t, os.Remove(path+"-wal"))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	try(t, err)
	defer f.Close()
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, 3*4096), 4096)
	try(t, err)
}

// execute runs one statement on the file as another program would.
func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	try(t, err)
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", statement, err))
	}
}

func TestOpen_SaysWhyADirectoryOrAMissingPlaceWillNotDo(t *testing.T) {
	dir := t.TempDir()
	try(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	for _, path := range []string{dir, filepath.Join(dir, "file", "steady.db")} {
		_, err := store.Open(path)
		checkStoreError(t, err, path, "")
	}
}
