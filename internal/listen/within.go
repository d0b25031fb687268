package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// somaxconn bounds the backlog of a namespace's listeners; each namespace has its own.
const somaxconn = "/proc/sys/net/core/somaxconn"

// Within listens on port, on all addresses, v4 and v6 where there is v6, in the
// network namespace of process pid. Its backlog is the longest that either that
// namespace or ours allows: while nobody accepts, that many connections wait.
// Whether pid is still the process that is meant is the caller's to know. The error
// wraps unix.EADDRINUSE where the port is taken there.
func Within(ctx context.Context, pid int, port uint16) (*net.TCPListener, error) {
	ours := readLimit(somaxconn)
	var f *os.File
	err := inNamespace(ctx, pid, func() error {
		fd, err := listenHere(port, raiseLimit(somaxconn, ours))
		if err == nil {
			f = os.NewFile(uintptr(fd), "tcp:"+strconv.Itoa(int(port)))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen on port %d in the network namespace of process %d: %w", port, pid, err)
	}
	defer f.Close()
	return FromFile(f)
}

// listenHere opens the socket in the namespace of this thread.
func listenHere(port uint16, backlog int) (int, error) {
	fd, err := bound(unix.AF_INET6, &unix.SockaddrInet6{Port: int(port)})
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) { // no v6 in this kernel
		fd, err = bound(unix.AF_INET, &unix.SockaddrInet4{Port: int(port)})
	}
	if err != nil {
		return -1, err
	}
	if err := unix.Listen(fd, backlog); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("listen", err)
	}
	return fd, nil
}

// bound is a stream socket as net.Listen makes them: SO_REUSEADDR, and for v6
// both families.
func bound(family int, at unix.Sockaddr) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil && family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if err == nil {
		err = unix.Bind(fd, at)
	}
	if err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// raiseLimit raises the limit of this thread's namespace to least and returns the
// one in force. A limit that cannot be raised shortens a backlog and is no error.
func raiseLimit(path string, least int) int {
	if readLimit(path) < least {
		_ = os.WriteFile(path, []byte(strconv.Itoa(least)), 0)
	}
	return readLimit(path)
}

// readLimit reads a number under /proc/sys/net, which shows the namespace of the
// thread that reads. 128 is the default of the oldest kernels.
func readLimit(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return unix.SOMAXCONN
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return unix.SOMAXCONN
	}
	return n
}
