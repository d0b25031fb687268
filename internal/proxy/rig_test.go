package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/process"
	"gesalpai.ch/steady/internal/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a running proxy with one listener, "shop/api:80".
type rig struct {
	t       *testing.T
	client  *proxy.Client
	proxy   *proxy.Proxy
	options proxy.Options
	addr    string
	version int64
	stop    func()
}

const poolName = "shop/api:80"

func newRig(t *testing.T, protocol string, limits proxy.Limits, us ...steady.Upstream) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "px") // a unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if limits.Grace == 0 {
		limits.Grace = 50 * time.Millisecond
	}
	r := &rig{t: t, options: proxy.Options{
		Socket: filepath.Join(dir, "run", "p.sock"), TableFile: filepath.Join(dir, "table.json"), Limits: limits,
	}}
	r.start()
	r.serve(protocol, us...)
	r.addr = fmt.Sprintf("127.0.0.1:%d", r.status().Listeners[0].Bound)
	return r
}

// start runs the proxy until stop or the test's end.
func (r *rig) start() {
	r.t.Helper()
	p, err := proxy.New(r.options)
	if err != nil {
		r.t.Fatal(err)
	}
	r.proxy = p
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				r.t.Errorf("run: %v", err)
			}
		case <-time.After(20 * time.Second):
			r.t.Error("proxy does not end")
		}
	}
	r.t.Cleanup(r.stop)
	r.client = proxy.NewClient(r.options.Socket)
	eventually(r.t, "proxy answers", func() bool {
		_, err := r.client.Ping(r.t.Context())
		return err == nil
	})
}

func (r *rig) table(protocol string, us ...steady.Upstream) steady.Table {
	r.version++
	return steady.Table{
		Version:   r.version,
		Listeners: []steady.Listener{{Host: "127.0.0.1", Protocol: protocol, Pool: poolName}},
		Pools:     []steady.Pool{{Name: poolName, Upstreams: us}},
	}
}

func (r *rig) serve(protocol string, us ...steady.Upstream) {
	r.t.Helper()
	if err := r.client.Serve(context.Background(), r.table(protocol, us...)); err != nil {
		r.t.Fatalf("serve: %v", err)
	}
}

func (r *rig) status() proxy.Status {
	r.t.Helper()
	s, err := r.client.Status(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) counts(release int) steady.Counts {
	r.t.Helper()
	tr, err := r.client.Traffic(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return tr["shop/api"][release]
}

func (r *rig) url(path string) string { return "http://" + r.addr + path }

// get asks on a connection of its own.
func (r *rig) get(path string) (int, string) {
	r.t.Helper()
	res, err := r.http().Get(r.url(path))
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// http is a client without connections kept.
func (r *rig) http() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}

// dial opens a bare connection.
func (r *rig) dial() *conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &conn{TCPConn: c.(*net.TCPConn), t: r.t, r: bufio.NewReader(c)}
}

type conn struct {
	*net.TCPConn
	t *testing.T
	r *bufio.Reader
}

func (c *conn) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.TCPConn, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *conn) line() string {
	c.t.Helper()
	s, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("read line: %v (have %q)", err, s)
	}
	return strings.TrimRight(s, "\r\n")
}

func (c *conn) response() *http.Response {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("read response: %v", err)
	}
	return res
}

// backend serves h and is the upstream name of release n.
func backend(t *testing.T, name string, release int, h http.Handler) steady.Upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return upstreamAt(name, release, ln.Addr().String())
}

func upstreamAt(name string, release int, addr string) steady.Upstream {
	return steady.Upstream{ID: "id-" + name, Name: name, Addr: addr, Release: release, Process: processAt(os.Getpid(), addr)}
}

// processAt is a process as the daemon tells it; one that serves addr, "host" or
// "host:port", or is said to.
func processAt(pid int, addr string) steady.Process {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	p, err := process.Identify(pid, netip.MustParseAddr(host))
	if err != nil {
		panic(err)
	}
	return p
}

// tcpBackend serves every connection by f and closes it.
func tcpBackend(t *testing.T, name string, release int, f func(net.Conn)) steady.Upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); f(c) }()
		}
	}()
	return upstreamAt(name, release, ln.Addr().String())
}

func says(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, s) })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); {
		if ok() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("not in a minute: %s", what)
}

func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		t.Fatalf("not in a minute: %s", what)
	}
}

// slow answers "/quick" at once and anything else when released.
func slow(entered, release chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/quick" {
			close(entered)
			<-release
		}
	})
}

// expectReset wants a connection to addr to be reset with nothing said on it. The
// reset may be quicker than the connect that it answers.
func expectReset(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: wanted a reset: %v", addr, err)
	}
}
