package proxy_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// A shift breaks off the dial to an upstream that leaves. Whoever was waiting for
// it is relayed to the next one, and is none the worse for it.
func TestRelay_ShiftDuringTheDialIsNotFelt(t *testing.T) {
	for _, protocol := range []string{steady.TCP, steady.Auto} {
		t.Run(protocol, func(t *testing.T) {
			next := tcpBackend(t, "b", 2, greets)
			r := newRig(t, protocol, proxy.Limits{}, next)
			first := r.dial() // who speaks first is learnt here
			if got := first.line(); got != "220 ready" {
				t.Fatalf("%q", got)
			}
			stuck, port := full(t)
			r.serve(protocol, stuck)
			c := r.dial()
			eventually(t, "the proxy dials", func() bool { return dialling(t, port) })
			r.serve(protocol, next)
			if got := c.line(); got != "220 ready" {
				t.Errorf("%q", got)
			}
			c.send("EHLO x\r\n")
			if got := c.line(); got != "EHLO x" {
				t.Errorf("%q", got)
			}
		})
	}
}

// full is an upstream whose backlog has no room: a dial to it hangs.
func full(t *testing.T) (steady.Upstream, int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := at.(*unix.SockaddrInet4).Port
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	c, err := net.Dial("tcp", addr) // a backlog of 0 has room for one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return upstreamAt("a", 1, addr), port
}

// dialling says whether a SYN to the port is on its way.
func dialling(t *testing.T, port int) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(b), fmt.Sprintf(":%04X 02 ", port))
}
