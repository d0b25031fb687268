package store_test

import (
	"database/sql"
	"path/filepath"
	"syscall"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/store"
)

func TestBusy_AnotherProcessThatHoldsTheLockIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steady.db")
	s := openedAt(t, path)
	other, err := sql.Open("sqlite", path+"?_txlock=immediate")
	try(t, err)
	tx, err := other.Begin()
	try(t, err)
	err = s.Accept(t.Context(), &steady.Rollout{Project: "shop", Kind: steady.KindDeploy}, nil)
	checkStoreError(t, err, path, "another process holds its lock")
	if hint := steady.AsError(err).Hint; hint != "fuser -v "+path {
		t.Errorf("hint %q", hint)
	}
	try(t, tx.Rollback())
	try(t, other.Close())
	try(t, s.Accept(t.Context(), &steady.Rollout{Project: "shop", Kind: steady.KindDeploy}, nil))
}

// SQLite does not tell a quota or a file system that became read-only: the directory does.
func TestCause_OfWhatTheSystemRefuses(t *testing.T) {
	for errno, want := range map[syscall.Errno][2]string{
		syscall.ENOSPC: {"cannot be written: the disk is full", "df -h /state"},
		syscall.EDQUOT: {"cannot be written: a quota of the disk is used up", "quota -s, and du -sh /state"},
		syscall.EROFS:  {"cannot be written: its file system is read-only", "findmnt -T /state"},
	} {
		if what, hint := store.SystemCause("/state/steady.db", errno); what != want[0] || hint != want[1] {
			t.Errorf("%v: %q, hint %q, want %q", errno, what, hint, want)
		}
	}
}

func TestTryWrite_SaysWhyADirectoryTakesNothing(t *testing.T) {
	if err := store.TryWrite(t.TempDir()); err != nil {
		t.Error(err)
	}
	dir, bounded := small(t)
	if !bounded {
		return
	}
	fillFile(t, filepath.Join(dir, "ballast"))
	if what, _ := store.SystemCause(filepath.Join(dir, "steady.db"), store.TryWrite(dir)); what != "cannot be written: the disk is full" {
		t.Errorf("full: %s", what)
	}
	try(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=1m"))
	if what, _ := store.SystemCause(filepath.Join(dir, "steady.db"), store.TryWrite(dir)); what != "cannot be written: its file system is read-only" {
		t.Errorf("read-only: %s", what)
	}
}
