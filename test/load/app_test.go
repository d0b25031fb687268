package load_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"gesalpai.ch/steady/test/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// app is a correct server, unless a test bends it.
type app struct {
	*httptest.Server
	release atomic.Int64
	quit    chan struct{} // closed: streams end in order
	cut     chan struct{} // closed: WebSockets end without a close frame
}

func newApp(t *testing.T, bend func(http.Handler) http.Handler) *app {
	t.Helper()
	a := &app{quit: make(chan struct{}), cut: make(chan struct{})}
	a.release.Store(1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /echo", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("X-Request-Id")) })
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	mux.HandleFunc("/slow", a.slow)
	mux.HandleFunc("/ws", a.ws)
	mux.HandleFunc("/sse", a.sse)
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Release", strconv.FormatInt(a.release.Load(), 10))
		mux.ServeHTTP(w, r)
	})
	if bend != nil {
		h = bend(h)
	}
	a.Server = httptest.NewServer(h)
	t.Cleanup(a.Close)
	return a
}

func (a *app) slow(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.URL.Query().Get("d"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

func (a *app) ws(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-a.quit:
			c.Close(websocket.StatusGoingAway, "")
		case <-a.cut:
			c.CloseNow()
		case <-ctx.Done():
		}
	}()
	for {
		kind, text, err := c.Read(ctx)
		if err != nil {
			return
		}
		if c.Write(ctx, kind, text) != nil {
			return
		}
	}
}

func (a *app) sse(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		fmt.Fprintf(w, "id: %d\ndata: {\"release\":%d}\n\n", n, a.release.Load())
		w.(http.Flusher).Flush()
		select {
		case <-tick.C:
		case <-a.quit:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// only turns every load off but the one named.
func only(name, url string) load.Options {
	o := load.Options{URL: url, Rate: 200, Duration: 1200 * time.Millisecond, Timeout: 5 * time.Second, WebSockets: -1, SSEs: -1}
	switch name {
	case "keepalive":
		o.Mix.KeepAlive = 1
	case "fresh":
		o.Mix.Fresh = 1
	case "post":
		o.Mix.Post = 1
	case "ws":
		o.Mix.Messages, o.WebSockets = 1, 4
	case "sse":
		o.Mix.Messages, o.SSEs = 1, 4
	}
	return o
}

// serve answers each connection with handle, on a socket of its own.
func serve(t *testing.T, handle func(n int, c *net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go handle(n, c.(*net.TCPConn))
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

// until polls for a condition, for at most 5 s.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}

func summary(t *testing.T, r load.Report, name string) load.Summary {
	t.Helper()
	for _, s := range r.Loads {
		if s.Load == name {
			return s
		}
	}
	t.Fatalf("no load %s in\n%s", name, r)
	return load.Summary{}
}

// lostOnly holds that losses are of this phase only, and that there are some.
func lostOnly(t *testing.T, r load.Report, phase load.Phase) {
	t.Helper()
	if len(r.AllLosses()) == 0 {
		t.Fatalf("nothing lost, the rig is blind:\n%s", r)
	}
	for _, l := range r.AllLosses() {
		if l.Phase != phase {
			t.Fatalf("loss in phase %s, want %s:\n%s", l.Phase, phase, r)
		}
	}
}
