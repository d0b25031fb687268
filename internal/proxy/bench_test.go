package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
	"gesalpai.ch/steady/internal/process"
)

// routes is a table of n pools with one upstream each, of the given release.
func routes(n, release int) steady.Table {
	t := steady.Table{Version: int64(release)}
	for i := range n {
		t.Pools = append(t.Pools, steady.Pool{
			Name: steady.PoolName("shop", fmt.Sprintf("svc%d", i), 80),
			Upstreams: []steady.Upstream{{
				ID: fmt.Sprintf("%064d", i*1000+release), Name: fmt.Sprintf("shop-svc%d-%d-1", i, release),
				Addr: "127.0.0.1:9", Release: release,
			}},
		})
	}
	return t
}

func bare(tb testing.TB, n int) *Proxy {
	tb.Helper()
	dir, err := os.MkdirTemp("", "px")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	p, err := New(Options{Socket: filepath.Join(dir, "p.sock"), TableFile: filepath.Join(dir, "t.json")})
	if err != nil {
		tb.Fatal(err)
	}
	p.certs = listen.OpenCertificates(p.opts.Certificates, p.log)
	tb.Cleanup(p.certs.Close)
	p.force(context.Background(), routes(n, 1), nil, nil)
	return p
}

var sizes = []int{10, 1_000, 10_000}

// BenchmarkLookup is what a request pays to be routed: from its listener to a
// claim, and leaving again.
func BenchmarkLookup(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			p := bare(b, n)
			doors := make([]*door, 0, n)
			for _, g := range p.pools {
				d := &door{}
				d.behind.Store(&behind{pool: g.(*pool), protocol: steady.HTTP})
				doors = append(doors, d)
			}
			x := &exchange{}
			x.ender = x
			i := 0
			for b.Loop() {
				pool := doors[i%16%n].behind.Load().pool // as many as a cache holds: the lookup is measured, not the memory
				if pool.claim(&x.flight, nil) == nil {
					b.Fatal("no upstream")
				}
				pool.leave(&x.flight)
				i++
			}
		})
	}
}

// BenchmarkShift is the move that puts another upstream in force among n routes,
// until a claim gets it.
func BenchmarkShift(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			p := bare(b, n)
			pool := p.pools[steady.PoolName("shop", "svc7", 80)].(*pool)
			to := [2][]steady.Upstream{routes(8, 2).Pools[7].Upstreams, routes(8, 3).Pools[7].Upstreams}
			x := &exchange{}
			x.ender = x
			i := 0
			for b.Loop() {
				pool.shift(steady.Pool{Upstreams: to[i%2]})
				if u := pool.claim(&x.flight, nil); u.Release != 2+i%2 {
					b.Fatal("the old one")
				}
				pool.leave(&x.flight)
				i++
			}
		})
	}
}

// BenchmarkServe is the whole way of a new table in which one pool is another:
// through the control socket, to the disk, in force. It carries and writes the
// whole table, so it grows with it; requests wait for no part of it.
func BenchmarkServe(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			p := bare(b, 0)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			defer func() { cancel(); <-done }()
			c := NewClient(p.opts.Socket)
			for _, err := c.Ping(ctx); err != nil; _, err = c.Ping(ctx) {
				time.Sleep(time.Millisecond)
			}
			t := routes(n, 1)
			other := [2][]steady.Upstream{routes(8, 2).Pools[7].Upstreams, routes(8, 3).Pools[7].Upstreams}
			for b.Loop() {
				t.Version++
				t.Pools[7].Upstreams = other[t.Version%2]
				if err := c.Serve(ctx, t); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRequest is one request after another on a connection kept, through the
// proxy to an app of the same process and back.
func BenchmarkRequest(b *testing.B) { benchmarkRequest(b, steady.HTTP, steady.Process{}) }

// BenchmarkIdentity is what it costs to know whose an address is: of a request on
// kept connections, and of a TCP connection, each with one made to the upstream.
func BenchmarkIdentity(b *testing.B) {
	known, err := process.Identify(os.Getpid(), netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		b.Fatal(err)
	}
	for _, protocol := range []string{steady.HTTP, steady.TCP} {
		b.Run(protocol+"/trusted", func(b *testing.B) { benchmarkRequest(b, protocol, steady.Process{}) })
		b.Run(protocol+"/known", func(b *testing.B) { benchmarkRequest(b, protocol, known) })
	}
}

func benchmarkRequest(b *testing.B, protocol string, of steady.Process) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	defer app.Close()
	p := bare(b, 0)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	defer func() { cancel(); <-done }()
	c := NewClient(p.opts.Socket)
	for _, err := c.Ping(ctx); err != nil; _, err = c.Ping(ctx) {
		time.Sleep(time.Millisecond)
	}
	t := routes(1, 1)
	t.Pools[0].Upstreams[0].Addr, t.Pools[0].Upstreams[0].Process = app.Listener.Addr().String(), of
	t.Listeners = []steady.Listener{{Host: "127.0.0.1", Protocol: protocol, Pool: t.Pools[0].Name}}
	if err := c.Serve(ctx, t); err != nil {
		b.Fatal(err)
	}
	s, err := c.Status(ctx)
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: protocol == steady.TCP}}
	defer client.CloseIdleConnections()
	url := fmt.Sprintf("http://127.0.0.1:%d/", s.Listeners[0].Bound)
	b.ReportAllocs()
	for b.Loop() {
		res, err := client.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
}
