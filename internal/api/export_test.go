package api

import (
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"
)

// SetPatience shortens the client's clocks.
func SetPatience(c *Client, patience, silence time.Duration) {
	c.patience, c.silence = patience, silence
}

// Beats serves one event stream with the given heartbeat and gives its body; on
// is told of each flush, counted from 1.
func Beats(t *testing.T, b Backend, every time.Duration, on func(int)) string {
	t.Helper()
	w := &flushes{ResponseRecorder: httptest.NewRecorder(), on: on}
	h := handler{backend: b, log: slog.New(slog.DiscardHandler), beat: every}
	r := httptest.NewRequest("GET", "/v1/rollouts/7/events", nil)
	r.SetPathValue("id", "7")
	h.events(w, r)
	return w.Body.String()
}

type flushes struct {
	*httptest.ResponseRecorder
	n  int
	on func(int)
}

func (f *flushes) Flush() {
	f.n++
	f.on(f.n)
}
