package job_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/queue/queuetest"
)

// cutting is what a TCP proxy does that ends connections without looking: while it is
// deaf it drops what the server answers, then it closes.
type cutting struct {
	net.Listener
	to      string
	deaf    atomic.Bool
	dropped chan struct{} // something was dropped; holds one
	relays  sync.WaitGroup
	mu      sync.Mutex
	open    []net.Conn
}

func newCutting(t *testing.T, serverURL string) *cutting {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutting{Listener: ln, to: u.Host, dropped: make(chan struct{}, 1)}
	t.Cleanup(func() { ln.Close(); c.cut(); c.relays.Wait() })
	c.relays.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			c.relays.Go(func() { c.relay(client) })
		}
	})
	return c
}

func (c *cutting) url() string { return "nats://" + c.Addr().String() }

func (c *cutting) relay(client net.Conn) {
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		client.Close()
		return
	}
	c.mu.Lock()
	c.open = append(c.open, client, server)
	c.mu.Unlock()
	c.relays.Go(func() { _, _ = io.Copy(server, client); server.Close() })
	_, _ = io.Copy(hearing{client, c}, server)
	client.Close()
}

// cut ends what is open.
func (c *cutting) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.Close()
	}
	c.open = nil
}

type hearing struct {
	io.Writer
	of *cutting
}

func (h hearing) Write(b []byte) (int, error) {
	if h.of.deaf.Load() {
		select {
		case h.of.dropped <- struct{}{}:
		default:
		}
		return len(b), nil
	}
	return h.Writer.Write(b)
}

// A connection that ends between a question and its answer takes the answer with it:
// the question is asked again, long before whoever waits for it gives up.
func TestQueue_AQuestionWhoseAnswerWasCutOffIsAskedAgain(t *testing.T) {
	server := queuetest.Start(t)
	between := newCutting(t, server.URL)
	q, err := job.Open(between.url(), "api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	none := strings.Repeat("A", 26)
	if _, err := q.State(t.Context(), none); !errors.Is(err, job.ErrNone) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	between.deaf.Store(true)
	done := make(chan error, 1)
	began := time.Now()
	go func() { _, err := q.State(ctx, none); done <- err }()
	<-between.dropped // the answer
	between.cut()
	between.deaf.Store(false)
	if err := <-done; !errors.Is(err, job.ErrNone) {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

// When the queue is back everybody who waits needs its stores: they are made sure of
// once, and those who waited ask a few at a time.
func TestQueue_AfterARestartTheStoresAreMadeOnceForAllWhoWait(t *testing.T) {
	const waiting = 2000
	server := queuetest.Start(t)
	q := server.Open("api")
	none := strings.Repeat("A", 26)
	if _, err := q.State(t.Context(), none); !errors.Is(err, job.ErrNone) {
		t.Fatal(err)
	}
	server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	errs := make(chan error, waiting)
	for range waiting {
		go func() { _, err := q.State(ctx, none); errs <- err }()
	}
	server.Start()
	made := overheard(t, server.URL, "$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.CREATE.*")
	for range waiting {
		if err := <-errs; !errors.Is(err, job.ErrNone) {
			t.Fatal(err)
		}
	}
	if n := made(); n > 12 { // three stores, each perhaps updated and then created, and a second attempt
		t.Errorf("the stores were made with %d questions", n)
	}
}

// overheard counts the messages on subjects from now on.
func overheard(t *testing.T, url string, subjects ...string) func() int {
	t.Helper()
	c, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var n atomic.Int64
	for _, s := range subjects {
		if _, err := c.Subscribe(s, func(*nats.Msg) { n.Add(1) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() int { _ = c.Flush(); return int(n.Load()) }
}
