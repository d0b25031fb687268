// Server is the service that is called by name: HTTP on :8000, the protocol in
// which the server speaks first on :7000 and, declared nowhere, on :7001, and UDP
// on :7002. It ends on SIGTERM as well as net/http lets a server end.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"gesalpai.ch/steady/test/inner"
)

const (
	grace   = 5 * time.Second
	maxBody = 16 << 20
	maxSlow = time.Minute
)

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, log, cmp.Or(os.Getenv("RELEASE"), "1"), os.Getenv("START_DELAY")); err != nil {
		log.Error("stopped", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger, release, delay string) error {
	if err := pause(ctx, delay); err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	ctx, cancel := context.WithCancel(ctx)
	start := func(serve func() error) {
		wg.Go(func() {
			defer cancel() // one without the others is no service
			errs <- serve()
		})
	}
	s := &inner.Server{Release: release}
	for _, port := range []string{":7000", ":7001"} {
		l, err := net.Listen("tcp", port)
		if err != nil {
			return err
		}
		start(func() error { return s.Serve(ctx, l) })
	}
	p, err := net.ListenPacket("udp", ":7002")
	if err != nil {
		return err
	}
	start(func() error { return s.EchoPackets(ctx, p) })
	start(func() error { return serveHTTP(ctx, release) })
	log.Info("listening", "release", release)
	wg.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return all
}

// pause is a cold start.
func pause(ctx context.Context, delay string) error {
	if delay == "" {
		return nil
	}
	d, err := time.ParseDuration(delay)
	if err != nil {
		return fmt.Errorf("START_DELAY: %w", err)
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return nil
}

func serveHTTP(ctx context.Context, release string) error {
	l, err := net.Listen("tcp", ":8000")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: routes(release), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err = srv.Shutdown(ending)
	<-served
	return err
}

func routes(release string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /echo", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.Header.Get("X-Request-Id")) })
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			return // broken off: the client's to tell
		}
		_, _ = w.Write(body)
	})
	mux.HandleFunc("GET /slow", slow)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Release", release)
		w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			w.Header().Set("X-Local", local.String()) // by which network it came
		}
		mux.ServeHTTP(w, r)
	})
}

func slow(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.URL.Query().Get("d"))
	if err != nil || d < 0 || d > maxSlow {
		http.Error(w, "d is no duration", http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(d):
		fmt.Fprintln(w, "slept", d)
	case <-r.Context().Done():
	}
}
