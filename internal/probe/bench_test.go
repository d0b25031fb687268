package probe_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"gesalpai.ch/steady/internal/probe"
)

// BenchmarkReadySeen measures on real sockets how long after a replica can serve
// that is seen. The goal is 100 ms.
func BenchmarkReadySeen(b *testing.B) {
	var up atomic.Pointer[time.Time]
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if time.Now().Before(*up.Load()) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	p := asked(b, s)
	var late []time.Duration
	for b.Loop() {
		at := time.Now().Add(rand.N(300 * time.Millisecond))
		up.Store(&at)
		if _, err := probe.New(running(), nil).Ready(b.Context(), name, p); err != nil {
			b.Fatal(err)
		}
		late = append(late, time.Since(at))
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "ms-late-p50")
	b.ReportMetric(float64(late[len(late)-1].Microseconds())/1000, "ms-late-max")
}
