package proxy_test

import (
	"bufio"
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

// deadAddr is an address where nobody listens.
func deadAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func send(t *testing.T, r *rig, method, body string, header ...string) int {
	t.Helper()
	req, _ := http.NewRequest(method, r.url("/"), strings.NewReader(body))
	for _, h := range header {
		req.Header.Set(h, "1")
	}
	res, err := r.http().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return res.StatusCode
}

// A transport that cannot connect closes the body it was given, of which nothing
// was read; the next try needs it.
func TestRetry_UploadOutlivesAFailedDial(t *testing.T) {
	good := backend(t, "good", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, _ := io.Copy(io.Discard, r.Body); n != 100<<10 {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	r := newRig(t, steady.HTTP, proxy.Limits{}, upstreamAt("dead", 1, deadAddr(t)), good)
	for range 2 { // the dead one is the first of one of them
		if code := send(t, r, "POST", strings.Repeat("x", 100<<10)); code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}
}

func TestRetry_UpstreamThatCannotBeDialledCostsNoRequest(t *testing.T) {
	var bodies atomic.Int64
	good := backend(t, "good", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		bodies.Add(n)
	}))
	dead := upstreamAt("dead", 1, deadAddr(t))
	r := newRig(t, steady.Auto, proxy.Limits{}, dead, good)
	for range 10 {
		for _, body := range []string{"small", strings.Repeat("x", 100<<10)} {
			if code := send(t, r, "POST", body); code != 200 {
				t.Fatal(code)
			}
		}
	}
	if want := int64(10 * (5 + 100<<10)); bodies.Load() != want {
		t.Errorf("%d bytes arrived, want %d", bodies.Load(), want)
	}
	if c := r.counts(1); c.Lost != 0 || c.Retried == 0 || c.Answered != 20 || c.Requests != 20 {
		t.Errorf("%+v", c)
	}
}

func TestRetry_SingleUpstreamThatComesBackCostsNoRequest(t *testing.T) {
	addr := deadAddr(t)
	r := newRig(t, steady.Auto, proxy.Limits{}, upstreamAt("a", 1, addr))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if code := send(t, r, "POST", "x"); code != 200 {
			t.Errorf("%d", code)
		}
	}()
	eventually(t, "first dial has failed", func() bool { return r.counts(1).Retried > 0 })
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: says("back")}
	go srv.Serve(ln)
	defer srv.Close()
	within(t, "answer", done)
}

func TestRetry_SingleDeadUpstreamAnswers502InBoundedTime(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{}, upstreamAt("a", 1, deadAddr(t)))
	start := time.Now()
	if code, _ := r.get("/"); code != 502 {
		t.Error(code)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Error(took)
	}
	if c := r.counts(1); c.Lost != 1 || c.Requests != 1 {
		t.Errorf("%+v", c)
	}
}

// rude answers one request per connection with keep-alive, and closes without an
// answer when it has read a second: what a server does that closes idle
// connections just then.
type rude struct {
	mu   sync.Mutex
	seen map[string]int // by method and whether a connection's first
}

func (b *rude) serve(c net.Conn) {
	br := bufio.NewReader(c)
	for i := 0; ; i++ {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		b.mu.Lock()
		b.seen[req.Header.Get("X-Id")]++
		b.mu.Unlock()
		if i > 0 {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

func TestRetry_MatrixOfPooledConnectionsThatDie(t *testing.T) {
	for _, tc := range []struct {
		method, body, key string
		code, arrivals    int
	}{
		{"GET", "", "", 200, 2},
		{"HEAD", "", "", 200, 2},
		{"PUT", "small", "", 200, 2},
		{"DELETE", "", "", 200, 2},
		{"POST", "small", "Idempotency-Key", 200, 2},
		{"POST", "small", "", 502, 1},
		{"POST", "", "", 502, 1},
		{"PATCH", "small", "", 502, 1},
		{"PUT", strings.Repeat("x", 100<<10), "", 502, 1}, // cannot be rewound
	} {
		t.Run(fmt.Sprintf("%s %d %s", tc.method, len(tc.body), tc.key), func(t *testing.T) {
			b := &rude{seen: map[string]int{}}
			r := newRig(t, steady.HTTP, proxy.Limits{}, tcpBackend(t, "a", 1, b.serve))
			ask := func(id string) int {
				req, _ := http.NewRequest(tc.method, r.url("/"), strings.NewReader(tc.body))
				req.Header.Set("X-Id", id)
				if tc.key != "" {
					req.Header.Set(tc.key, "k")
				}
				res, err := r.http().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				return res.StatusCode
			}
			if code := ask("first"); code != 200 {
				t.Fatal(code)
			}
			if code := ask("second"); code != tc.code {
				t.Errorf("status %d, want %d", code, tc.code)
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.seen["second"] != tc.arrivals {
				t.Errorf("arrived %d times, want %d", b.seen["second"], tc.arrivals)
			}
		})
	}
}

func TestRetry_ConnectionThatIdledTooLongIsNotUsedForAPost(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	conns := map[string]bool{}
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		conns[r.RemoteAddr] = true
	}))
	r := newRig(t, steady.HTTP, proxy.Limits{}, u)
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(conns) }
	send(t, r, "POST", "x")
	send(t, r, "POST", "x")
	if n := count(); n != 1 {
		t.Errorf("%d connections for two in a row", n)
	}
	<-time.After(550 * time.Millisecond) // what is tested is this very clock
	send(t, r, "POST", "x")
	if n := count(); n != 2 {
		t.Errorf("%d connections after a pause", n)
	}
}

func TestRetry_UpstreamThatClosesIdleConnectionsAtRandomLosesNoGet(t *testing.T) {
	u := tcpBackend(t, "a", 1, func(c net.Conn) {
		br := bufio.NewReader(c)
		for i := 0; i < 1+int(time.Now().UnixNano()/1000)%4; i++ {
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	r := newRig(t, steady.HTTP, proxy.Limits{}, u)
	l := startLoad(r.addr, 4, false)
	eventually(t, "load has run", func() bool { return l.sent.Load() > 3000 })
	if sent, lost := l.end(); lost > 0 {
		t.Errorf("%d of %d lost", lost, sent)
	}
}

func TestRetry_GetGoesToAnotherReplicaWhenOneDies(t *testing.T) {
	dying := tcpBackend(t, "dying", 1, func(c net.Conn) { http.ReadRequest(bufio.NewReader(c)) })
	r := newRig(t, steady.HTTP, proxy.Limits{}, dying, backend(t, "b", 1, says("b")))
	for range 10 {
		if code, body := r.get("/"); code != 200 || body != "b" {
			t.Errorf("%d %q", code, body)
		}
	}
}

func TestCounts_BrokenAnswerIsLostAndGoneClientIsNot(t *testing.T) {
	entered := make(chan struct{}, 1)
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		entered <- struct{}{}
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			<-r.Context().Done()
		}
	}))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	res, err := r.http().Get(r.url("/broken"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("looks whole: %q", b)
	}
	res.Body.Close()
	c := r.dial()
	c.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	c.Close()
	up := r.dial()
	up.send("POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx")
	<-entered
	up.Close()
	eventually(t, "counted", func() bool { n := r.counts(1); return n.Lost+n.Left == 3 })
	if n := r.counts(1); n.Lost != 1 || n.Left != 2 || n.Requests != 3 {
		t.Errorf("%+v", n)
	}
}
