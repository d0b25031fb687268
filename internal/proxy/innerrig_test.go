package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
	"gesalpai.ch/steady/internal/proxy"
)

// Addresses in a test's own network namespace. Every TCP port of the holder's is
// redirected to its one listener, as in a real one.
const (
	holderIn    = "127.0.1.1" // in the network "default"
	holderInDB  = "127.0.1.2" // in the network "db"
	holderOutOf = "127.0.1.9" // of no network that the table knows
	redirects   = "*nat\n-A OUTPUT -d 127.0.1.0/24 -p tcp -j REDIRECT --to-ports 15001\nCOMMIT\n"
)

// replicaAt is the address of the n-th replica.
func replicaAt(n int) string { return fmt.Sprintf("127.0.2.%d", n) }

// inNamespace runs the test once more as a process in a network namespace of its
// own, beside others, and there says true.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	if os.Getenv("STEADY_TEST_NETNS") != t.Name() {
		t.Parallel()
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), "STEADY_TEST_NETNS="+t.Name())
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v (root is needed)\n%s", err, out)
		}
		if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("it did not run:\n%s", out)
		}
		if testing.Verbose() {
			t.Logf("%s", out)
		}
		return false
	}
	command(t, "", "ip", "link", "set", "lo", "up")
	command(t, redirects, "iptables-restore")
	return true
}

func command(t *testing.T, input string, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// innerRig is a proxy with a holder's listener, "shop/api".
type innerRig struct{ *rig }

func newInnerRig(t *testing.T, us ...steady.Upstream) *innerRig {
	t.Helper()
	r := &innerRig{newRig(t, steady.Auto, proxy.Limits{})}
	ln := holderListener(t)
	lend(t, r.client, ln)
	ln.Close() // ours would take connections when another is lent
	r.serve(us...)
	return r
}

// holderListener is the one that all ports are redirected to.
func holderListener(t *testing.T) *net.TCPListener {
	t.Helper()
	var lc net.ListenConfig
	lc.Control = func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) // for a second one
		})
	}
	ln, err := lc.Listen(t.Context(), "tcp4", fmt.Sprintf("0.0.0.0:%d", steady.HolderPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

func lend(t *testing.T, c *proxy.Client, ln *net.TCPListener) {
	t.Helper()
	if err := lendAs(t, c, steady.HolderListener("shop/api"), ln); err != nil {
		t.Fatal(err)
	}
}

func lendAs(t *testing.T, c *proxy.Client, name string, ln *net.TCPListener) error {
	t.Helper()
	h, err := listen.Lend(name, ln)
	if err != nil {
		t.Fatal(err)
	}
	defer h.File.Close()
	return c.Lend(t.Context(), h.Name, h.File)
}

const (
	innerPool   = "shop/api@default"
	innerPoolDB = "shop/api@db"
)

func (r *innerRig) table(us ...steady.Upstream) steady.Table {
	r.version++
	return steady.Table{
		Version:   r.version,
		Listeners: []steady.Listener{{Holder: "shop/api", Protocol: steady.Auto, Arrivals: map[string]string{holderIn: innerPool, holderInDB: innerPoolDB}}},
		Pools:     []steady.Pool{{Name: innerPool, Upstreams: us}, {Name: innerPoolDB}},
	}
}

func (r *innerRig) serve(us ...steady.Upstream) {
	r.t.Helper()
	if err := r.client.Serve(context.Background(), r.table(us...)); err != nil {
		r.t.Fatalf("serve: %v", err)
	}
}

// replica is the n-th one, of release n.
func replica(n int) steady.Upstream {
	return upstreamAt(fmt.Sprint(n), n, replicaAt(n))
}

func in(port int) string { return fmt.Sprintf("%s:%d", holderIn, port) }

// listenAt listens on a replica's port.
func listenAt(t *testing.T, n, port int) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", replicaAt(n), port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// serveAt serves the n-th replica's port over HTTP.
func serveAt(t *testing.T, n, port int, srv *http.Server) {
	t.Helper()
	ln := listenAt(t, n, port)
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
}

// tcpAt serves every connection to the n-th replica's port by f.
func tcpAt(t *testing.T, n, port int, f func(net.Conn)) {
	t.Helper()
	ln := listenAt(t, n, port)
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go func() { defer c.Close(); f(c) }()
			}
		}
	}()
}

// dialIn connects to a port of the holder's.
func (r *innerRig) dialIn(port int) *conn {
	r.t.Helper()
	r.addr = in(port)
	return r.dial()
}
