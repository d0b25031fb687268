package service

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Fault is what a bad release does to its requests, all but /health: for tests.
type Fault struct {
	Share float64       // of requests, from 0 to 1, answered with 500
	Delay time.Duration // before every answer
}

// faultOf reads FAIL_SHARE, a number from 0 to 1, and ANSWER_DELAY, a Go duration.
func faultOf(lookup func(string) string) (Fault, error) {
	share, err := strconv.ParseFloat(or(lookup("FAIL_SHARE"), "0"), 64)
	if err != nil {
		return Fault{}, fmt.Errorf("FAIL_SHARE is no number: %w", err)
	}
	delay, err := time.ParseDuration(or(lookup("ANSWER_DELAY"), "0s"))
	if err != nil {
		return Fault{}, fmt.Errorf("ANSWER_DELAY is no duration: %w", err)
	}
	return Fault{share, delay}, nil
}

// spoil lets h answer with the fault.
func (f Fault) spoil(h http.Handler) http.Handler {
	if f == (Fault{}) {
		return h
	}
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			h.ServeHTTP(w, r)
			return
		}
		if !sleep(r.Context(), f.Delay) {
			return
		}
		if i := float64(n.Add(1)); math.Floor(i*f.Share) > math.Floor((i-1)*f.Share) { // evenly, so that a test is alike each time
			http.Error(w, "this release fails, for a test", http.StatusInternalServerError)
			return
		}
		h.ServeHTTP(w, r)
	})
}
