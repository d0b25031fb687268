package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
	"gesalpai.ch/steady/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine is the containers that a test says there are.
type engine struct {
	mu       sync.Mutex
	replicas map[string]steady.Replica
	fails    error // what the Engine answers instead
}

func (e *engine) Replica(_ context.Context, name string) (steady.Replica, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fails != nil {
		return steady.Replica{}, e.fails
	}
	c, ok := e.replicas[name]
	if !ok {
		return c, steady.ErrNoReplica
	}
	return c, nil
}

func (e *engine) gone(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.replicas, name)
}

func (e *engine) Holders(context.Context, string) ([]steady.Holder, error) { return nil, nil }

func (e *engine) set(name, state string, started int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replicas[name] = steady.Replica{ID: "id-" + name, Name: name, Release: 1, State: state, HostNet: true, Started: time.Unix(started, 0)}
}

// plane is a router over a real store and a real proxy; the "containers" are
// servers on this host.
type plane struct {
	*router
	engine *engine
	store  *store.Store
	port   uint16 // published
	target uint16 // of the server behind
}

func newPlane(t *testing.T) *plane {
	t.Helper()
	dir, err := os.MkdirTemp("", "pl") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(filepath.Join(dir, "state", "steady.db"))
	if err != nil {
		t.Fatal(err)
	}
	opts := proxy.Options{Socket: filepath.Join(dir, "run", "p.sock"), TableFile: filepath.Join(dir, "state", "table.json")}
	opts.Limits.Grace = time.Millisecond
	px, err := proxy.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := px.Run(ctx); err != nil {
			t.Errorf("proxy: %v", err)
		}
	})
	eng := &engine{replicas: map[string]steady.Replica{}}
	keep := &keeper{proxy: proxy.NewClient(opts.Socket)}
	t.Cleanup(func() { keep.close(); cancel(); wg.Wait(); st.Close(); os.RemoveAll(dir) })
	eventually(t, func() bool { _, err := keep.proxy.Ping(ctx); return err == nil })
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") }))
	t.Cleanup(srv.Close)
	return &plane{router: newRouter(st, eng, keep, slog.New(slog.DiscardHandler)), engine: eng, store: st,
		port: freePort(t), target: uint16(srv.Listener.Addr().(*net.TCPAddr).Port)}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func (p *plane) route(replicas ...string) steady.Route {
	return steady.Route{Project: "shop", Service: "api", Release: 1, Replicas: replicas,
		Ports: []steady.Port{{HostIP: "127.0.0.1", Published: p.port, Target: p.target, Transport: "tcp", Protocol: steady.HTTP}}}
}

// status asks the published port; 0 where nobody listens.
func (p *plane) status(t *testing.T) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://127.0.0.1:" + strconv.Itoa(int(p.port)))
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

func TestRouter_StoredRoutesAreInForceWhenRouteReturns(t *testing.T) {
	p := newPlane(t)
	p.engine.set("shop-api-1-1", steady.StateRunning, 1)
	if err := p.Route(t.Context(), []steady.Route{p.route("shop-api-1-1")}); err != nil {
		t.Fatal(err)
	}
	if got := p.status(t); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
	stored, err := p.Routes(t.Context(), "shop")
	if err != nil || len(stored) != 1 || stored[0].Release != 1 {
		t.Errorf("stored %+v, %v", stored, err)
	}
	gone := p.route()
	gone.Gone = true
	if err := p.Route(t.Context(), []steady.Route{gone}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return p.status(t) == 0 }) // what the kernel had accepted is answered first
}

func TestRouter_WhatCannotBeServedIsNotStored(t *testing.T) {
	p := newPlane(t)
	p.engine.set("shop-api-1-1", steady.StateRunning, 1)
	foreignly(t, p.port)
	if err := p.Route(t.Context(), []steady.Route{p.route("shop-api-1-1")}); !errors.Is(err, steady.ErrPortTaken) {
		t.Errorf("error %v, want ErrPortTaken", err)
	}
	if stored, err := p.Routes(t.Context(), "shop"); err != nil || len(stored) != 0 {
		t.Errorf("stored %+v, %v", stored, err)
	}
}

// foreignly has another process listen on the port.
func foreignly(t *testing.T, port uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(int(port)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("sleep", "60")
	holder.ExtraFiles = []*os.File{f}
	if err := errors.Join(holder.Start(), f.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
}

func TestRouter_ADeadReplicaLeavesAtOnceAndComesBackWhenReady(t *testing.T) {
	p := newPlane(t)
	p.engine.set("shop-api-1-1", steady.StateRunning, 1)
	if err := p.Route(t.Context(), []steady.Route{p.route("shop-api-1-1")}); err != nil {
		t.Fatal(err)
	}
	refresh := func() []returning {
		t.Helper()
		back, err := p.refresh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return back
	}
	p.engine.set("shop-api-1-1", steady.StateExited, 1)
	refresh()
	if got := p.status(t); got != http.StatusServiceUnavailable {
		t.Errorf("status %d while it is away", got)
	}
	p.engine.set("shop-api-1-1", steady.StateRunning, 2)
	back := refresh()
	if len(back) != 1 || p.status(t) != http.StatusServiceUnavailable {
		t.Errorf("%d come back, status %d: it must be probed first", len(back), p.status(t))
	}
	if err := p.returned(t.Context(), "shop-api-1-1"); err != nil {
		t.Fatal(err)
	}
	if got := p.status(t); got != http.StatusOK {
		t.Errorf("status %d when it is back", got)
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(10 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it never came to be")
		}
	}
}
