package api_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"gesalpai.ch/steady/internal/api"
)

func TestListen_OnlyTheOwnerMayOpenTheSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run", "steady.sock")
	l, err := api.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{socket: 0o600, filepath.Dir(socket): 0o700} {
		i, err := os.Stat(path)
		if err != nil || i.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v, want %v", path, i.Mode().Perm(), err, want)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket left behind: %v", err)
	}
}

func TestListen_RefusesWhereADaemonRuns(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "steady.sock")
	serve(t, socket, &fake{})
	if _, err := api.Listen(socket); !errors.Is(err, api.ErrRuns) {
		t.Fatalf("got %v", err)
	}
	if err := os.Remove(socket + ".lock"); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Listen(socket); !errors.Is(err, api.ErrRuns) {
		t.Errorf("without its lock file: got %v", err)
	}
	if _, err := api.NewClient(socket).Projects(t.Context()); err != nil {
		t.Errorf("the running daemon lost its socket: %v", err)
	}
}

func TestListen_ReplacesTheSocketOfADeadDaemon(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "steady.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	serve(t, socket, &fake{})
	if _, err := api.NewClient(socket).Projects(t.Context()); err != nil {
		t.Error(err)
	}
}
