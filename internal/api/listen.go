package api

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"gesalpai.ch/steady"
)

// ErrRuns says that a daemon serves this socket already.
var ErrRuns = &steady.Error{Code: "daemon-runs", Text: "a steady daemon already runs"}

// Listen listens on a unix socket that only this user may open: the socket has
// mode 0600, and a directory that is missing is made with 0700. What a dead
// daemon left is replaced. ErrRuns when a live one serves it. Closing the
// listener removes the socket.
func Listen(socket string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return nil, fmt.Errorf("make socket directory: %w", err)
	}
	lock, err := lockFile(socket + ".lock")
	if err != nil {
		return nil, runs(socket, err)
	}
	l, err := listenLocked(socket)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &listener{UnixListener: l, socket: socket, lock: lock}, nil
}

// listenLocked binds beside and renames over, so that nobody ever sees the
// socket with a wider mode, and no client finds none for a moment.
func listenLocked(socket string) (*net.UnixListener, error) {
	if c, err := net.DialTimeout("unix", socket, time.Second); err == nil {
		return nil, errors.Join(runs(socket, nil), c.Close())
	}
	beside := socket + ".new"
	if err := os.Remove(beside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove stale socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: beside, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", socket, err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(beside, 0o600), os.Rename(beside, socket)); err != nil {
		return nil, errors.Join(fmt.Errorf("put socket in place: %w", err), l.Close(), os.Remove(beside))
	}
	return l, nil
}

// lockFile takes a lock that the kernel gives back when the process dies,
// however it dies.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

func runs(socket string, err error) error {
	if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
		return err
	}
	return ErrRuns.With("a steady daemon already runs on "+socket, "steady version")
}

// listener removes its socket before it gives the lock back, and once only: the
// next daemon's socket has the same path.
type listener struct {
	*net.UnixListener
	socket string
	lock   *os.File
	once   sync.Once
}

func (l *listener) Close() (err error) {
	l.once.Do(func() {
		err = errors.Join(l.UnixListener.Close(), os.Remove(l.socket), l.lock.Close())
	})
	return err
}
