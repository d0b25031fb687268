package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// UDP binds a socket to addr, "host:port", with the same meaning of an empty host and
// of v4 and v6 literals as TCP. Its datagrams tell which of the machine's addresses
// they were sent to (IP_PKTINFO, ip(7)). Where another socket stands in the way, the
// error is a *TakenError.
func UDP(ctx context.Context, addr string) (*net.UDPConn, error) { return udp(ctx, addr, false) }

// UDPBeside is UDP where the sockets that stand in the way are all of before, which
// are ours and about to be closed: for a moment both are bound.
func UDPBeside(ctx context.Context, addr string, before []*net.UDPConn) (*net.UDPConn, error) {
	for _, c := range before {
		setReuse(c, 1)
		defer setReuse(c, 0)
	}
	conn, err := udp(ctx, addr, true)
	if err == nil {
		setReuse(conn, 0)
	}
	return conn, err
}

func udp(ctx context.Context, addr string, reuse bool) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = tellDestination(int(fd), reuse) })
		return errors.Join(err, failed)
	}}
	conn, err := lc.ListenPacket(ctx, "udp"+strings.TrimPrefix(family(addr), "tcp"), addr)
	if err == nil {
		return conn.(*net.UDPConn), nil
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		holder, _ := findHolder(addr, "udp")
		return nil, &TakenError{Addr: addr, UDP: true, Holder: holder, Err: err}
	}
	return nil, fmt.Errorf("bind %s/udp: %w", addr, err)
}

// tellDestination has the kernel say with each datagram where it was sent to.
func tellDestination(fd int, reuse bool) error {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	if reuse {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if domain == unix.AF_INET6 {
		return errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1))
	}
	return errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
}

func setReuse(c *net.UDPConn, on int) {
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, on) })
	}
}

// FreeUDP says whether UDP would succeed on addr now, by doing it.
func FreeUDP(ctx context.Context, addr string) error {
	conn, err := UDP(ctx, addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// UDPPort is the port a UDP socket got.
func UDPPort(c *net.UDPConn) uint16 { return uint16(c.LocalAddr().(*net.UDPAddr).Port) }

// UDPFromFile is a UDP socket of its own on that of f, as FromFile for listeners.
func UDPFromFile(f *os.File) (*net.UDPConn, error) {
	raw, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", f.Name(), err)
	}
	conn, ok := raw.(*net.UDPConn)
	if !ok || conn.RemoteAddr() != nil {
		raw.Close()
		return nil, fmt.Errorf("%s is no UDP socket that anybody may send to", f.Name())
	}
	return conn, nil
}
