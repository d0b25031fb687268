package metrics

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// checkFor is how long one check may take to succeed.
const checkFor = 3 * time.Second

// Check is one thing that must be so for the daemon to carry out a rollout.
type Check struct {
	Name string
	Ask  func(context.Context) error
}

// healthy answers as long as the process does.
func healthy(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") }

// ready asks all checks side by side and tells each: 200 when all hold, else 503.
func ready(checks []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkFor)
		defer cancel()
		errs := make([]error, len(checks))
		var asking sync.WaitGroup
		for i, c := range checks {
			asking.Go(func() { errs[i] = c.Ask(ctx) })
		}
		asking.Wait()
		status := http.StatusOK
		var b strings.Builder
		for i, c := range checks {
			said := "ok"
			if errs[i] != nil {
				said, status = errs[i].Error(), http.StatusServiceUnavailable
			}
			fmt.Fprintf(&b, "%s: %s\n", c.Name, said)
		}
		answer(w, status, b.String())
	})
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
