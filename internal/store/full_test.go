package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/store"
)

// small gives a directory with about a megabyte of room on a file system of its
// own, or one where the test may not mount, with the room of the whole disk.
func small(t *testing.T) (dir string, bounded bool) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Logf("no mount (%v): bounding the database instead", err)
		return dir, false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}

func TestFullDisk_IsToldAndOldContentsStayReadable(t *testing.T) {
	dir, bounded := small(t)
	path := filepath.Join(dir, "steady.db")
	s := openedAt(t, path)
	first, _ := accepted(t, s, "shop", "api")
	try(t, s.PutRoutes(t.Context(), []steady.Route{{Project: "shop", Service: "api", Release: 1, Replicas: []string{"shop-api-1-1"}}}))
	if !bounded {
		try(t, s.Bound(60))
	}

	seq, err := fill(t, s, first.ID)
	checkStoreError(t, err, path, "disk is full")
	if hint := steady.AsError(err).Hint; hint != "df -h "+dir {
		t.Errorf("hint %q", hint)
	}
	events, err := s.Events(t.Context(), first.ID, 0)
	try(t, err)
	if int64(len(events)) != seq {
		t.Errorf("%d events readable, %d were acknowledged", len(events), seq)
	}
	if serving, err := s.Serving(t.Context(), "shop"); err != nil || serving["api"].Number != 1 {
		t.Errorf("serving %v, %v", serving, err)
	}
	r := steady.Rollout{Project: "shop", Kind: steady.KindDeploy}
	err = s.Accept(t.Context(), &r, []steady.Release{{Spec: bigSpec()}})
	if !errors.Is(err, steady.ErrStore) || r.ID != 0 {
		t.Errorf("accepted on a full disk: %v, rollout %d", err, r.ID)
	}
}

func TestFullDisk_WritesAgainOnceThereIsRoom(t *testing.T) {
	dir, bounded := small(t)
	s := openedAt(t, filepath.Join(dir, "steady.db"))
	r, _ := accepted(t, s, "shop", "api")
	ballast := filepath.Join(dir, "ballast")
	if bounded {
		try(t, os.WriteFile(ballast, make([]byte, 500<<10), 0o600))
	} else {
		try(t, s.Bound(60))
	}
	_, err := fill(t, s, r.ID)
	if !errors.Is(err, steady.ErrStore) {
		t.Fatal(err)
	}
	if bounded {
		try(t, os.Remove(ballast))
	} else {
		try(t, s.Bound(1<<20))
	}
	try(t, s.Event(t.Context(), &steady.Event{Rollout: r.ID, Kind: steady.EventDone}))
}

func TestFullDisk_StoreOpensAgainAfterAnOrderlyEnd(t *testing.T) {
	dir, bounded := small(t)
	path := filepath.Join(dir, "steady.db")
	s, err := store.Open(path)
	try(t, err)
	accepted(t, s, "shop", "api")
	try(t, s.Close())
	if bounded {
		fillFile(t, filepath.Join(dir, "ballast"))
	}
	s = openedAt(t, path)
	if _, err := s.Release(t.Context(), "shop", "api", 1); err != nil {
		t.Error(err)
	}
}

// fillFile writes until the disk takes no more.
func fillFile(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	try(t, err)
	defer f.Close()
	for range 10_000 {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return
		}
	}
	t.Fatal("the disk does not get full")
}

// fill writes events until one fails, and returns the last one taken.
func fill(t *testing.T, s *store.Store, rollout int64) (seq int64, err error) {
	t.Helper()
	for range 10_000 {
		e := steady.Event{Rollout: rollout, Kind: steady.EventProgress, Text: strings.Repeat("x", 4000)}
		if err := s.Event(t.Context(), &e); err != nil {
			return seq, err
		}
		seq = e.Seq
	}
	t.Fatal("the disk does not get full")
	return 0, nil
}

func bigSpec() steady.Spec {
	big := spec("shop", "api")
	big.WorkingDir = "/" + strings.Repeat("d", 1<<20)
	return big
}

func TestReadOnly_IsTold(t *testing.T) {
	dir, mounted := small(t)
	path := filepath.Join(dir, "steady.db")
	s, err := store.Open(path)
	try(t, err)
	try(t, s.Close())
	if !mounted {
		try(t, os.Chmod(path, 0o400)) // not root, where nothing can be mounted
		try(t, os.Chmod(dir, 0o500))
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	} else {
		try(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=1m"))
	}
	_, err = store.Open(path)
	if !errors.Is(err, steady.ErrStore) || steady.AsError(err).Hint == "" {
		t.Errorf("%v", err)
	}
}
