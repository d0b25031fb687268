package docker_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gesalpai.ch/steady/internal/docker"
)

// watching follows an Engine's events until the test ends.
func watching(t *testing.T, eng *docker.Engine) <-chan docker.Change {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan docker.Change, 1000)
	done := make(chan error, 1)
	go func() { done <- eng.Watch(ctx, func(c docker.Change) { changes <- c }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v", err)
		}
	})
	return changes
}

// until takes changes until one is as wanted.
func until(t *testing.T, changes <-chan docker.Change, want func(docker.Change) bool) docker.Change {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case c := <-changes:
			if want(c) {
				return c
			}
		case <-deadline:
			t.Fatal("no such change came")
		}
	}
}

func what(word string) func(docker.Change) bool {
	return func(c docker.Change) bool { return c.What == word }
}

func TestWatch_TellsOfContainersAfterARelist(t *testing.T) {
	b := newBench(t)
	changes := watching(t, b.Engine)
	if first := <-changes; first.What != docker.Relist {
		t.Fatalf("first came %+v", first)
	}
	c := b.started(t, b.release(t, "api", 1))
	of := func(word string) func(docker.Change) bool {
		return func(ch docker.Change) bool { return ch.Replica == c.Name && ch.What == word }
	}
	got := until(t, changes, of("start"))
	if got.Project != b.project || got.Service != "api" || time.Since(got.Time) > time.Minute {
		t.Errorf("change %+v", got)
	}
	if err := b.Stop(t.Context(), c.Name); err != nil {
		t.Fatal(err)
	}
	until(t, changes, of("die"))
	if err := b.Remove(t.Context(), c.Name); err != nil {
		t.Fatal(err)
	}
	until(t, changes, of("destroy"))
}

func TestWatch_ConnectsAgainAndMissesNothing(t *testing.T) {
	b := newBench(t)
	relay := newRelay(t)
	eng, err := docker.New(docker.Options{Host: "unix://" + relay.path})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	changes := watching(t, eng)
	until(t, changes, what(docker.Relist))
	one := b.started(t, b.release(t, "api", 1))
	until(t, changes, func(c docker.Change) bool { return c.Replica == one.Name && c.What == "start" })

	relay.cut()
	two := b.started(t, b.release(t, "api", 2)) // happens while nobody listens
	relay.mend(t)
	until(t, changes, what(docker.Relist))
	until(t, changes, func(c docker.Change) bool { return c.Replica == two.Name && c.What == "start" })
}

// relay stands between an Engine and its client, and can be cut.
type relay struct {
	path  string
	conns sync.WaitGroup

	mu   sync.Mutex
	ln   net.Listener
	open []net.Conn
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{path: filepath.Join(dir, "s")}
	r.mend(t)
	t.Cleanup(func() {
		r.cut()
		r.conns.Wait()
		os.RemoveAll(dir)
	})
	return r
}

// mend listens (again).
func (r *relay) mend(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("unix", r.path)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.ln = ln
	r.mu.Unlock()
	r.conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.conns.Go(func() { r.pass(c) })
		}
	})
}

func (r *relay) pass(c net.Conn) {
	defer c.Close()
	to, err := net.Dial("unix", "/var/run/docker.sock")
	if err != nil {
		return
	}
	defer to.Close()
	r.mu.Lock()
	r.open = append(r.open, c, to)
	r.mu.Unlock()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(c, to)
		c.Close()
	}()
	_, _ = io.Copy(to, c)
	to.Close()
	<-back
}

// cut breaks every connection and takes none any more.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ln.Close()
	for _, c := range slices.Backward(r.open) {
		c.Close()
	}
	r.open = nil
}
