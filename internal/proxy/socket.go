package proxy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// controlSocket is the control socket and the lock that goes with it.
type controlSocket struct {
	path    string
	ln      net.Listener
	handles net.Listener // beside it, for descriptors; see Client.Lend
	lock    *os.File
}

// handlesSocket is the path of the socket for descriptors.
func handlesSocket(control string) string { return control + ".fds" }

// openControl opens the control socket, 0600, in a directory it makes 0700 where
// it is missing. A lock beside it tells a live proxy from a socket that a dead
// one left: the lock goes with its process, whatever kills it, so two that start
// at once cannot both take the socket for stale.
func openControl(path string) (*controlSocket, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make directory of control socket: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock control socket: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("another proxy has the control socket %s: %w", path, err)
	}
	ln, err := listenUnix(path)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	handles, err := listenUnix(handlesSocket(path))
	if err != nil {
		ln.Close()
		lock.Close()
		return nil, fmt.Errorf("open control socket for descriptors: %w", err)
	}
	return &controlSocket{path: path, ln: peerListener{ln}, handles: peerListener{handles}, lock: lock}, nil
}

// listenUnix binds beside and renames over, so that nobody ever sees the socket
// with other permissions, or none.
func listenUnix(path string) (*net.UnixListener, error) {
	beside := path + ".new"
	if err := os.Remove(beside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: beside, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(beside, 0o600), os.Rename(beside, path)); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

func (c *controlSocket) close() {
	_ = c.ln.Close()
	_ = c.handles.Close()
	_ = os.Remove(c.path)
	_ = os.Remove(handlesSocket(c.path))
	_ = c.lock.Close()
}

// peerListener accepts connections of our own user and of root.
type peerListener struct{ *net.UnixListener }

func (l peerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(c); err == nil && allowed(uid) {
			return c, nil
		}
		c.Close()
	}
}

func allowed(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// peerUID is the user at the other end of a unix socket (SO_PEERCRED).
func peerUID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("ask who is at the control socket: %w", err)
	}
	return cred.Uid, nil
}
