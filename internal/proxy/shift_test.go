package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// load sends requests on bare keep-alive connections until stopped: no retries, a
// connection that said close is given up. It counts what was lost.
type load struct {
	sent, lost atomic.Int64
	versions   sync.Map // answer → true
	wg         sync.WaitGroup
	stop       chan struct{}
	fresh      bool // a connection for every request
}

func startLoad(addr string, clients int, post bool) *load {
	return (&load{stop: make(chan struct{})}).start(addr, clients, post)
}

func startFreshLoad(addr string, clients int, post bool) *load {
	return (&load{stop: make(chan struct{}), fresh: true}).start(addr, clients, post)
}

func (l *load) start(addr string, clients int, post bool) *load {
	for range clients {
		l.wg.Go(func() { l.client(addr, post) })
	}
	return l
}

func (l *load) client(addr string, post bool) {
	req, _ := http.NewRequest("GET", "http://"+addr+"/", nil)
	tr := &http.Transport{DisableKeepAlives: l.fresh}
	defer tr.CloseIdleConnections()
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		if post {
			// A body that cannot be rewound keeps net/http from trying again.
			req, _ = http.NewRequest("POST", "http://"+addr+"/", io.MultiReader(strings.NewReader("x")))
		}
		l.sent.Add(1)
		res, err := tr.RoundTrip(req)
		if err != nil {
			l.lost.Add(1)
			continue
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 {
			l.lost.Add(1)
		}
		l.versions.Store(string(b), true)
	}
}

func (l *load) end() (sent, lost int64) {
	close(l.stop)
	l.wg.Wait()
	return l.sent.Load(), l.lost.Load()
}

// app answers after a moment with its name, and 599 once it is stopped.
type app struct {
	http.Server
	name string
	addr string
	done chan struct{}
}

func startApp(t *testing.T, name string) *app {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{name: name, addr: ln.Addr().String(), done: make(chan struct{})}
	a.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(3 * time.Millisecond) // its work
		io.WriteString(w, name)
	})
	go func() { defer close(a.done); _ = a.Serve(ln) }()
	t.Cleanup(a.kill)
	return a
}

// kill is the death of a container: everything closed at once.
func (a *app) kill() {
	a.Close()
	<-a.done
}

func TestShift_UnderLoadLosesNothing(t *testing.T) {
	old := startApp(t, "0")
	r := newRig(t, steady.Auto, proxy.Limits{}, upstreamAt("0", 1, old.addr))
	keep, posts := startLoad(r.addr, 4, false), startLoad(r.addr, 4, true)
	for i := 1; i <= 15; i++ {
		so := keep.sent.Load() + posts.sent.Load()
		eventually(t, "load runs", func() bool { return keep.sent.Load()+posts.sent.Load() > so+100 })
		next := startApp(t, fmt.Sprint(i))
		r.serve(steady.Auto, upstreamAt(next.name, i+1, next.addr))
		d, err := r.client.Drain(t.Context(), []string{"id-" + old.name}, steady.Drain{Requests: 10 * time.Second})
		if err != nil || d.Cut != 0 {
			t.Fatalf("drain: %+v, %v", d, err)
		}
		old.kill()
		old = next
	}
	for name, l := range map[string]*load{"get": keep, "post": posts} {
		sent, lost := l.end()
		t.Logf("%s: %d sent, %d lost", name, sent, lost)
		if lost != 0 || sent < 100 {
			t.Errorf("%s: %d of %d lost", name, lost, sent)
		}
		if _, ok := l.versions.Load("15"); !ok {
			t.Error("the last release never answered")
		}
	}
	traffic, err := r.client.Traffic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for release, c := range traffic["shop/api"] {
		if c.Lost != 0 || c.Requests != c.Answered {
			t.Errorf("release %d: %+v", release, c)
		}
	}
}

// The control: the same load must lose where the old one is killed before the
// shift, or the test above is blind.
func TestShift_ControlThatKillsFirstLoses(t *testing.T) {
	old := startApp(t, "old")
	r := newRig(t, steady.Auto, proxy.Limits{}, upstreamAt("old", 1, old.addr))
	l := startLoad(r.addr, 4, true)
	eventually(t, "load runs", func() bool { return l.sent.Load() > 200 })
	old.kill()
	eventually(t, "something is lost", func() bool { return l.lost.Load() > 0 })
	next := startApp(t, "next")
	r.serve(steady.Auto, upstreamAt("next", 2, next.addr))
	sent, lost := l.end()
	if lost == 0 {
		t.Errorf("nothing of %d lost: the load is blind", sent)
	}
	if a, b := r.counts(1), r.counts(2); a.Lost+b.Lost != lost {
		t.Errorf("the client lost %d, the proxy counted %+v and %+v", lost, a, b)
	}
}

func TestShift_NoNewRequestGoesToTheOldOneOnceServeHasReturned(t *testing.T) {
	var old atomic.Int64
	a := backend(t, "a", 1, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { old.Add(1) }))
	b := backend(t, "b", 2, says("b"))
	r := newRig(t, steady.Auto, proxy.Limits{}, a)
	for range 50 {
		l := startLoad(r.addr, 2, false)
		eventually(t, "load runs", func() bool { return l.sent.Load() > 10 })
		r.serve(steady.Auto, b)
		if _, err := r.client.Drain(t.Context(), []string{a.ID}, steady.Drain{Requests: time.Second}); err != nil {
			t.Fatal(err)
		}
		then := old.Load()
		if code, body := r.get("/"); code != 200 || body != "b" {
			t.Fatalf("%d %q", code, body)
		}
		l.end()
		if now := old.Load(); now != then {
			t.Fatalf("%d requests went to the old one after drain", now-then)
		}
		r.serve(steady.Auto, a)
	}
}

func TestPool_TrafficGoesToTheLeastBusy(t *testing.T) {
	stuck, entered := make(chan struct{}), make(chan struct{}, 2)
	slow := backend(t, "slow", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-stuck
	}))
	r := newRig(t, steady.Auto, proxy.Limits{}, slow)
	var wg sync.WaitGroup
	wg.Go(func() { r.get("/") })
	<-entered
	r.serve(steady.Auto, slow, backend(t, "fast", 1, says("fast")))
	for range 20 {
		if _, body := r.get("/"); body != "fast" {
			t.Errorf("went to the busy one")
		}
	}
	close(stuck)
	wg.Wait()
}

func TestPool_IdleUpstreamsTakeTurns(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{},
		backend(t, "a", 1, says("a")), backend(t, "b", 1, says("b")), backend(t, "c", 1, says("c")))
	got := map[string]int{}
	for range 30 {
		_, body := r.get("/")
		got[body]++
	}
	for _, name := range []string{"a", "b", "c"} {
		if got[name] < 5 {
			t.Errorf("%v", got)
		}
	}
}

func TestPool_WithoutUpstreamAnswers503(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{})
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	res := c.response()
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !res.Close {
		t.Errorf("%s %v close=%v", res.Status, res.Header, res.Close)
	}
	if n := r.counts(0); n.Lost != 1 || n.Requests != 1 {
		t.Errorf("%+v", n)
	}
}

func TestDrain_WaitsForRequestInFlightAndClosesIdleConnections(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{})
	var idle sync.Map
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				close(entered)
				<-release
			}
			io.WriteString(w, "old")
		}),
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				idle.Delete(c)
				return
			}
			idle.Store(c, s)
		},
	}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	r := newRig(t, steady.Auto, proxy.Limits{}, upstreamAt("a", 1, ln.Addr().String()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if code, body := r.get("/slow"); code != 200 || body != "old" {
			t.Errorf("in flight: %d %q", code, body)
		}
	})
	<-entered
	r.get("/")
	r.serve(steady.Auto, backend(t, "b", 2, says("new")))
	done := make(chan struct{})
	var d steady.Drained
	go func() {
		defer close(done)
		d, err = r.client.Drain(t.Context(), []string{"id-a"}, steady.Drain{Requests: 10 * time.Second})
	}()
	if _, body := r.get("/"); body != "new" {
		t.Error("the new one does not serve while the old drains")
	}
	select {
	case <-done:
		t.Fatal("drain returned with a request in flight")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	within(t, "drain", done)
	wg.Wait()
	if err != nil || d.Requests != 1 || d.Cut != 0 || d.Longest < 50*time.Millisecond {
		t.Errorf("%+v %v", d, err)
	}
	eventually(t, "our connections are closed", func() bool {
		n := 0
		idle.Range(func(any, any) bool { n++; return true })
		return n == 0
	})
}

func TestDrain_CutsRequestsThatOutliveTheirClock(t *testing.T) {
	entered := make(chan struct{}, 3)
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
		}
		entered <- struct{}{}
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			<-r.Context().Done()
		}
	}))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	fresh, begun, upload := r.dial(), r.dial(), r.dial()
	fresh.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	begun.send("GET /begun HTTP/1.1\r\nHost: x\r\n\r\n")
	upload.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx")
	for range 3 {
		<-entered
	}
	r.serve(steady.Auto, backend(t, "b", 2, says("b")))
	start := time.Now()
	d, err := r.client.Drain(t.Context(), []string{u.ID}, steady.Drain{Requests: 200 * time.Millisecond, Streams: 0})
	took := time.Since(start)
	if err != nil || d.Requests != 3 || d.Cut != 3 {
		t.Errorf("%+v %v", d, err)
	}
	if took < 200*time.Millisecond || took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	if res := fresh.response(); res.StatusCode != 503 || !res.Close {
		t.Errorf("not begun: %s", res.Status)
	}
	if b, err := io.ReadAll(begun.response().Body); err == nil {
		t.Errorf("a broken answer looks whole: %q", b)
	}
	if c := r.counts(1); c.Cut != 3 || c.Lost != 3 {
		t.Errorf("%+v", c)
	}
}

func TestDrain_ClientThatDoesNotReadIsCutToo(t *testing.T) {
	t.Parallel()
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.CopyN(w, zeros{}, 64<<20) }))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.response()
	r.serve(steady.Auto)
	d, err := r.client.Drain(t.Context(), []string{u.ID}, steady.Drain{Requests: 50 * time.Millisecond})
	if err != nil || d.Cut != 1 {
		t.Errorf("%+v %v", d, err)
	}
	if n := r.counts(1); n.Cut != 1 {
		t.Errorf("%+v", n)
	}
}

func TestDrain_EndsWithItsCallerAndCutsNothing(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{})
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { close(entered); <-release }))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	var wg sync.WaitGroup
	wg.Go(func() {
		if code, _ := r.get("/"); code != 200 {
			t.Error(code)
		}
	})
	<-entered
	r.serve(steady.Auto)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.client.Drain(ctx, []string{u.ID}, steady.Drain{Requests: -1}); err == nil {
		t.Error("no error")
	}
	close(release)
	wg.Wait()
}

func TestDrain_RefusesWhatStillTakesTraffic(t *testing.T) {
	u := backend(t, "a", 1, says("a"))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	if _, err := r.client.Drain(t.Context(), []string{u.ID}, steady.Drain{}); err == nil {
		t.Error("no error")
	}
	if d, err := r.client.Drain(t.Context(), []string{"never heard of"}, steady.Drain{}); err != nil || d != (steady.Drained{}) {
		t.Error(d, err)
	}
}
