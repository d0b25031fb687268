package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestOpen_IsPrivateWhateverTheUmask(t *testing.T) {
	for _, mask := range []int{0, 0o077, 0o277} {
		t.Run(fmt.Sprintf("%04o", mask), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			old := syscall.Umask(mask)
			defer syscall.Umask(old)
			s := openedAt(t, filepath.Join(dir, "steady.db"))
			accepted(t, s, "shop", "api")
			checkMode(t, dir, 0o700)
			for _, name := range []string{"steady.db", "steady.db-wal", "steady.db-shm"} {
				checkMode(t, filepath.Join(dir, name), 0o600)
			}
		})
	}
}

func TestOpen_TightensALooseFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steady.db")
	try(t, os.WriteFile(path, nil, 0o644))
	openedAt(t, path)
	checkMode(t, path, 0o600)
}

func checkMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	at, err := os.Stat(path)
	try(t, err)
	if got := at.Mode().Perm(); got != want {
		t.Errorf("%s has mode %04o, want %04o", filepath.Base(path), got, want)
	}
}
