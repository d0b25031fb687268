// Package service is what the stack's HTTP services have in common: settings
// from the environment, the release on every answer, one line per request, an
// orderly end, and the container's own health check.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Service is one HTTP server.
type Service struct {
	Addr       string            // "host:port" to listen on
	Release    string            // put on every answer as X-Release
	StartDelay time.Duration     // slept before listening: a cold start
	Grace      time.Duration     // for requests in flight at the end
	Lines      io.Writer         // one line per request that has an X-Request-Id
	Listening  func(addr string) // told the address once; may be nil
	Fault      Fault             // of a bad release

	inflight sync.WaitGroup // handlers, those of upgraded connections included
}

// Run serves h until ctx ends, then accepts nothing more and waits up to Grace
// for what is in flight. Handlers that last for ever must end by themselves when
// ctx does.
func (s *Service) Run(ctx context.Context, h http.Handler) error {
	if !sleep(ctx, s.StartDelay) {
		return nil
	}
	ln, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if s.Listening != nil {
		s.Listening(ln.Addr().String())
	}
	srv := &http.Server{
		Handler:           s.counted(s.marked(s.Fault.spoil(h))),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       75 * time.Second, // longer than any proxy before it keeps a connection
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	err = s.end(srv)
	<-served
	return err
}

func (s *Service) end(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.Grace)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("finish requests: %w", err), srv.Close())
	}
	done := make(chan struct{})
	go func() { s.inflight.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("finish streams: %w", ctx.Err())
	}
}

// counted counts handlers, because Shutdown does not know those whose connection
// was upgraded.
func (s *Service) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.inflight.Add(1)
		defer s.inflight.Done()
		h.ServeHTTP(w, r)
	})
}

// sleep sleeps and says whether it slept its fill.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
