// Stub is a service that does what its environment says: it listens where LISTEN
// names addresses, LISTEN_AFTER its start, until CLOSE_AFTER, and answers HTTP there
// with RELEASE. It prints SAY first and exits with EXIT_CODE after EXIT_AFTER, where
// that is set. With "ok" or "fail" as its argument it is a healthcheck.
package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		os.Exit(check(os.Args[1:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	fmt.Println(cmp.Or(os.Getenv("SAY"), "starting"))
	code, err := run(ctx, os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func check(args []string) int {
	if args[0] == "ok" {
		return 0
	}
	fmt.Println("curl: not found")
	return 1
}

func run(ctx context.Context, env func(string) string) (int, error) {
	code, _ := strconv.Atoi(env("EXIT_CODE"))
	if d := after(env("EXIT_AFTER")); d >= 0 {
		ended, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		ctx = ended
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	if d := after(env("LISTEN_AFTER")); d >= 0 {
		pause(ctx, d)
	}
	var all []*http.Server
	for _, addr := range strings.Fields(cmp.Or(env("LISTEN"), "0.0.0.0:8000")) {
		if addr == "none" {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return 1, err
		}
		s := &http.Server{Handler: answer(env("RELEASE"))}
		serving.Go(func() { _ = s.Serve(l) })
		all = append(all, s)
	}
	if d := after(env("CLOSE_AFTER")); d >= 0 {
		pause(ctx, d)
	} else {
		<-ctx.Done()
	}
	for _, s := range all {
		_ = s.Close()
	}
	<-ctx.Done()
	return code, nil
}

func answer(release string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Release", release)
		fmt.Fprintln(w, release)
	})
}

// after is how long until something happens; below 0: it never does.
func after(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		return -1
	}
	return d
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
