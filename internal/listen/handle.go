package listen

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Handle is a descriptor under a name. Its File is one that Lend, Receive or
// Inherited made. Do not use the one of net's File methods: os/exec makes such a
// descriptor blocking when it hands it to a child, and so for everybody who accepts
// from the same socket.
type Handle struct {
	Name string
	File *os.File
}

// Lend makes a handle on the socket of ln, a TCP listener or a UDP socket: a copy, the
// caller's to close, that goes on listening, its backlog with it, after ln is closed.
func Lend(name string, ln syscall.Conn) (Handle, error) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return Handle{}, fmt.Errorf("lend %s: %w", name, err)
	}
	dup := -1
	var duped error
	err = raw.Control(func(fd uintptr) {
		dup, duped = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil {
		err = duped
	}
	if err != nil {
		return Handle{}, fmt.Errorf("lend %s: %w", name, err)
	}
	return Handle{Name: name, File: os.NewFile(uintptr(dup), name)}, nil
}

// FromFile is a listener of its own on the socket of f; f stays the caller's to
// close. Nothing about the socket changes. Closing the listener closes this copy
// only: connections in the backlog wait for whoever has another.
func FromFile(f *os.File) (*net.TCPListener, error) {
	if err := mustListen(f); err != nil {
		return nil, err
	}
	raw, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", f.Name(), err)
	}
	ln, ok := raw.(*net.TCPListener)
	if !ok {
		raw.Close()
		return nil, fmt.Errorf("%s is no TCP listener but a %T", f.Name(), raw)
	}
	return ln, nil
}

// mustListen refuses sockets that do not listen, of which net.FileListener would
// make a listener whose Accept fails ever after.
func mustListen(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("listener %s: %w", f.Name(), err)
	}
	var accepts int
	var asked error
	err = raw.Control(func(fd uintptr) {
		accepts, asked = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	})
	switch {
	case err != nil:
		return fmt.Errorf("listener %s: %w", f.Name(), err)
	case asked != nil:
		return fmt.Errorf("listener %s: %w", f.Name(), asked)
	case accepts == 0:
		return fmt.Errorf("%s is a socket that does not listen", f.Name())
	}
	return nil
}
