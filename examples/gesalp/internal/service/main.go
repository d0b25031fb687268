package service

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Env is what a service's main gets.
type Env struct {
	Service *Service
	Log     *slog.Logger
	Lookup  func(string) string // of the environment
}

// Main is the main function of a service that listens on addr. "NAME health"
// asks the running service whether it is healthy; it is what the container's
// health check runs, for an image FROM scratch has no curl. Else run is called
// with a context that ends on SIGTERM. It gives the exit code.
//
// Faults for tests of bad releases: START_DELAY (a Go duration), EXIT_AT_START=1
// (two lines and exit code 3), FAIL_HEALTH=1 (/health answers 503), FAIL_SHARE (a
// number from 0 to 1, of requests answered with 500) and ANSWER_DELAY (a Go
// duration, before every answer).
func Main(addr string, run func(context.Context, Env) error) int {
	if len(os.Args) > 1 && os.Args[1] == "health" {
		return Check("http://127.0.0.1" + addr + "/health")
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	delay, err := time.ParseDuration(or(os.Getenv("START_DELAY"), "0s"))
	if err != nil {
		log.Error("START_DELAY is no duration", "err", err)
		return 2
	}
	fault, err := faultOf(os.Getenv)
	if err != nil {
		log.Error("read the fault", "err", err)
		return 2
	}
	if os.Getenv("EXIT_AT_START") == "1" {
		fmt.Println("reading settings")
		fmt.Println("fatal: EXIT_AT_START is set, this release cannot start")
		return 3
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	err = run(ctx, Env{
		Service: &Service{
			Addr: addr, Release: or(os.Getenv("RELEASE"), "1"), StartDelay: delay, Grace: 30 * time.Second, Lines: os.Stdout, Fault: fault,
			Listening: func(addr string) { log.Info("listening", "addr", addr) },
		},
		Log: log, Lookup: os.Getenv,
	})
	if err != nil {
		log.Error("stopped", "err", err)
		return 1
	}
	log.Info("stopped")
	return 0
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Health answers 200 while ready says so, else 503. FAIL_HEALTH=1 makes it 503
// for ever.
func (e Env) Health(ready func() bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if e.Lookup("FAIL_HEALTH") == "1" || !ready() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// Check asks url once, as a command: 0 when it answers 200.
func Check(url string) int {
	client := http.Client{Timeout: 4 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer resp.Body.Close()
	_, _ = io.Copy(os.Stdout, resp.Body) // only shown
	if resp.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}
