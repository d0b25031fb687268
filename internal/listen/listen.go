// Package listen opens the sockets the proxy listens on, and says who holds an
// address that cannot be had.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// TakenError says that somebody else listens on an address.
type TakenError struct {
	Addr   string
	UDP    bool   // the transport; else TCP
	Holder Holder // zero when nobody could be named
	Err    error  // what bind(2) said
}

func (e *TakenError) Error() string {
	transport := ""
	if e.UDP {
		transport = "/udp"
	}
	return fmt.Sprintf("%s%s is taken by %s", e.Addr, transport, e.Holder)
}

func (e *TakenError) Unwrap() error { return e.Err }

// TCP listens on addr, "host:port". An empty host is every address, v4 and v6,
// as Docker publishes it; a v4 or v6 literal is that family alone ("0.0.0.0"
// is not "[::]"). SO_REUSEADDR is set, so connections of a former process in
// TIME_WAIT are no hindrance, while a socket that listens is: then the error is
// a *TakenError.
func TCP(ctx context.Context, addr string) (*net.TCPListener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, family(addr), addr)
	if err == nil {
		return ln.(*net.TCPListener), nil
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		holder, _ := FindHolder(addr)
		return nil, &TakenError{Addr: addr, Holder: holder, Err: err}
	}
	return nil, fmt.Errorf("listen on %s: %w", addr, err)
}

// Free says whether TCP would succeed on addr now, by doing it.
func Free(ctx context.Context, addr string) error {
	ln, err := TCP(ctx, addr)
	if err != nil {
		return err
	}
	return ln.Close()
}

// Port is the port a listener got.
func Port(ln net.Listener) uint16 {
	return uint16(ln.Addr().(*net.TCPAddr).Port)
}

// family keeps a v4 wildcard from becoming a dual-stack socket, which is what
// net.Listen("tcp", "0.0.0.0:80") makes of it.
func family(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "tcp"
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "tcp"
	case ip.Is4():
		return "tcp4"
	default:
		return "tcp6"
	}
}
