// Package queuetest runs a real queue in a test.
package queuetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/queue"
)

// Server is a queue that a test can stop and start again on the same port and
// directory.
type Server struct {
	URL  string
	t    testing.TB
	dir  string
	port int
	stop func()
}

// Start starts a queue, which ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), port: -1}
	s.Start()
	t.Cleanup(func() { s.Stop() })
	return s
}

// Start starts it again.
func (s *Server) Start() {
	s.t.Helper()
	server, err := queue.New(queue.Settings{Dir: s.dir, Name: "test", Host: "127.0.0.1", Port: s.port})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	url, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- server.Run(ctx, func(u string) { url <- u }) }()
	select {
	case s.URL = <-url:
		s.port = portOf(s.t, s.URL)
	case err := <-ended:
		cancel()
		s.t.Fatalf("queue ended at start: %v", err)
	}
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				s.t.Errorf("queue: %v", err)
			}
		})
	}
}

// Stop stops it and waits for its end.
func (s *Server) Stop() { s.stop() }

// Open connects to it; the connection ends with the test.
func (s *Server) Open(name string) *job.Queue {
	s.t.Helper()
	q, err := job.Open(s.URL, name)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(q.Close)
	return q
}

// Eventually polls until ok, for at most ten seconds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
