package load_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gesalpai.ch/steady/test/load"
)

func TestRun_LosesNothingOnACorrectServer(t *testing.T) {
	var mu sync.Mutex
	ids := map[string]int{}
	a := newApp(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			ids[r.Header.Get("X-Request-Id")]++
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	})
	r := load.Run(t.Context(), load.Options{URL: a.URL, Duration: 2 * time.Second, SlowMax: 200 * time.Millisecond})
	if !r.Clean() || len(r.Judge(r.Ascending()...)) != 0 {
		t.Fatalf("not clean:\n%s", r)
	}
	if len(r.Loads) != 6 {
		t.Errorf("%d loads, want 6", len(r.Loads))
	}
	if got := r.Sent(); got < 500 || got > 600 {
		t.Errorf("sent %d in 2 s, want the rate's 552 and 12 streams", got)
	}
	if len(ids) != r.Sent() {
		t.Errorf("%d ids at the server, %d sent", len(ids), r.Sent())
	}
	for _, answer := range r.Answers() {
		if ids[r.ID(answer)] != 1 {
			t.Errorf("id %s at the server %d times", r.ID(answer), ids[r.ID(answer)])
		}
	}
	for _, name := range []string{"ws", "sse"} {
		if s := summary(t, r, name).Streams; s.Messages < 20 || s.Left != 6 {
			t.Errorf("%s: %+v, want many messages and 6 left", name, s)
		}
	}
	if c := summary(t, r, "keepalive").Connections; c > 10 {
		t.Errorf("the keep-alive load opened %d connections, want at most 10", c)
	}
}

// A server that answers and, at the same time, forgets an idle connection: the
// request that is on its way is lost, and no earlier sign excuses it.
func TestRun_LosesTheRequestThatMeetsAClosingServer(t *testing.T) {
	url := serve(t, func(_ int, c *net.TCPConn) {
		br := bufio.NewReader(c)
		if answer(br, c, "") == nil {
			br.Peek(1) // the next request is on its way
		}
		c.SetLinger(0)
		c.Close()
	})
	lostOnly(t, load.Run(t.Context(), only("keepalive", url)), load.FirstByte)
}

func TestRun_DropsAConnectionWhoseEndItSaw(t *testing.T) {
	for _, linger := range []int{-1, 0} {
		url := serve(t, func(_ int, c *net.TCPConn) {
			answer(bufio.NewReader(c), c, "")
			c.SetLinger(linger)
			c.Close()
		})
		o := only("keepalive", url)
		o.Rate, o.Conns = 50, 10 // 200 ms between two requests of a connection
		r := load.Run(t.Context(), o)
		if s := summary(t, r, "keepalive"); !r.Clean() || s.Dropped == 0 {
			t.Errorf("linger %d: %d dropped:\n%s", linger, s.Dropped, r)
		}
	}
}

func TestRun_ObeysConnectionClose(t *testing.T) {
	url := serve(t, func(_ int, c *net.TCPConn) {
		br := bufio.NewReader(c)
		answer(br, c, "Connection: close\r\n")
		br.Peek(1) // a second request here would be lost
		c.Close()
	})
	r := load.Run(t.Context(), only("keepalive", url))
	if s := summary(t, r, "keepalive"); !r.Clean() || s.Connections != s.Sent {
		t.Errorf("%d connections for %d requests:\n%s", s.Connections, s.Sent, r)
	}
}

func TestRun_CountsByPhase(t *testing.T) {
	for name, c := range map[string]struct {
		say   string // after a request was read; then a reset, or silence
		phase load.Phase
	}{
		"reset before the first byte": {"", load.FirstByte},
		"reset in the head":           {"HTTP/1.1 200 OK\r\nContent-Le", load.Head},
		"no HTTP":                     {"220 smtp\r\n", load.Head},
		"bare line feeds":             {"HTTP/1.1 200 OK\nContent-Length: 0\n\n", load.Head},
		"two lengths":                 {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", load.Head},
		"length and chunked":          {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", load.Head},
		"body without length":         {"HTTP/1.1 200 OK\r\n\r\nabc", load.Head},
		"reset in a sized body":       {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", load.Body},
		"reset in a chunk":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", load.Body},
		"reset before the last chunk": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", load.Body},
		"no chunk size":               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nabc\r\n", load.Body},
		"status 503":                  {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", load.Status},
		"status 404":                  {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", load.Status},
		"answer to another request":   {"HTTP/1.1 200 OK\r\nX-Request-Id: other\r\nContent-Length: 0\r\n\r\n", load.Wrong},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(_ int, conn *net.TCPConn) {
				http.ReadRequest(bufio.NewReader(conn))
				io.WriteString(conn, c.say)
				conn.CloseWrite()
				io.Copy(io.Discard, conn)
				conn.Close()
			})
			o := only("fresh", url)
			o.Duration = time.Minute
			running := load.Start(o)
			until(t, "3 lost", func() bool { return running.Counts().Lost >= 3 })
			lostOnly(t, running.Stop(), c.phase)
		})
	}
}

func TestRun_CountsAResetInTheBodyAsBody(t *testing.T) {
	url := serve(t, func(_ int, c *net.TCPConn) {
		http.ReadRequest(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
		c.Write(make([]byte, 500_000))
		c.SetLinger(0)
		c.Close()
	})
	o := only("fresh", url)
	o.Rate = 20
	r := load.Run(t.Context(), o)
	// A reset may throw away what was received but not read, the head included.
	if n := summary(t, r, "fresh").Lost[load.Body]; n == 0 || r.OK() > 0 {
		t.Errorf("%d in the body, %d ok:\n%s", n, r.OK(), r)
	}
}

func TestRun_CountsARefusedConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	lostOnly(t, load.Run(t.Context(), only("fresh", "http://"+l.Addr().String())), load.Refused)
}

func TestRun_CountsAWrongBody(t *testing.T) {
	a := newApp(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			body[len(body)/2] ^= 1
			w.Write(body)
		})
	})
	r := load.Run(t.Context(), only("post", a.URL))
	lostOnly(t, r, load.Wrong)
	if r.OK() != 0 {
		t.Errorf("%d ok of %d", r.OK(), r.Sent())
	}
}

func TestRun_SurvivesAnAnswerBeforeTheUploadsEnd(t *testing.T) {
	a := newApp(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	})
	r := load.Run(t.Context(), only("post", a.URL))
	if n := summary(t, r, "post").Lost[load.Status]; n < r.Sent()*8/10 {
		t.Errorf("%d of %d with a status:\n%s", n, r.Sent(), r)
	}
}

func TestRun_IsOpenLoop(t *testing.T) {
	gate := make(chan struct{})
	var inside atomic.Int64
	a := newApp(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inside.Add(1)
			<-gate
			next.ServeHTTP(w, r)
		})
	})
	o := only("fresh", a.URL)
	o.InFlight, o.Duration = 20, time.Minute
	running := load.Start(o)
	until(t, "20 in flight", func() bool { return inside.Load() == 20 })
	held := time.Now()
	until(t, "half a second of stall", func() bool { return time.Since(held) > 500*time.Millisecond })
	if n := inside.Load(); n != 20 {
		t.Errorf("%d in flight, bound 20", n)
	}
	close(gate)
	until(t, "the late ones sent", func() bool { return running.Counts().OK > 150 })
	r := running.Stop()
	s := summary(t, r, "fresh")
	if r.Lost() != 0 || s.Latency.P50 < 100*time.Millisecond || s.Latency.Longest < 500*time.Millisecond {
		t.Errorf("latencies do not count from the due time:\n%s", r)
	}
	if due := int(r.Elapsed.Seconds()*200) + 1; s.Sent+s.Unsent < due-25 || s.Sent+s.Unsent > due+1 {
		t.Errorf("%d sent and %d unsent of %d due", s.Sent, s.Unsent, due)
	}
}

func TestRun_SaysWhatWasDueButNotSent(t *testing.T) {
	gate := make(chan struct{})
	a := newApp(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-gate; next.ServeHTTP(w, r) })
	})
	o := only("keepalive", a.URL)
	o.Conns = 2
	o.Duration = 500 * time.Millisecond
	time.AfterFunc(2*time.Second, func() { close(gate) }) // well after the load has ended
	r := load.Run(t.Context(), o)
	if n := summary(t, r, "keepalive").Unsent; n < 60 || r.Clean() {
		t.Errorf("%d unsent of about 78:\n%s", n, r)
	}
}

func TestRun_EndsWithItsContextAndAwaitsWhatIsInFlight(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	gate := make(chan struct{})
	a := newApp(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cancel()
			<-gate
			next.ServeHTTP(w, r)
		})
	})
	time.AfterFunc(2*time.Second, func() { close(gate) })
	o := only("fresh", a.URL)
	o.Duration = time.Hour
	r := load.Run(ctx, o)
	if r.Lost() != 0 || r.OK() == 0 || r.Elapsed > 1500*time.Millisecond {
		t.Errorf("sent for %s:\n%s", r.Elapsed, r)
	}
}

func TestRun_SaysThatNothingCouldBeFired(t *testing.T) {
	for _, o := range []load.Options{{}, {URL: "ftp://127.0.0.1"}, {URL: "http://127.0.0.1", Rate: -1}} {
		if r := load.Run(t.Context(), o); r.Err == nil || r.Clean() || o.Validate() == nil {
			t.Errorf("%+v: err %v, clean %t", o, r.Err, r.Clean())
		}
	}
}

func TestReport_ReadsAsTableAndJSON(t *testing.T) {
	a := newApp(t, nil)
	o := only("keepalive", a.URL)
	o.Run = "x"
	r := load.Run(t.Context(), o)
	if text := r.String(); !strings.Contains(text, "keepalive") || !strings.Contains(text, fmt.Sprintf("200×%d", r.Sent())) {
		t.Errorf("table:\n%s", text)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Sent, Lost int
		Run        string
	}
	if err := json.Unmarshal(raw, &back); err != nil || back.Sent != r.Sent() || back.Run != "x" {
		t.Errorf("json %s: %v", raw, err)
	}
}

// answer reads one request and answers it, with header lines of the caller's.
func answer(br *bufio.Reader, w io.Writer, header string) error {
	if _, err := http.ReadRequest(br); err != nil {
		return err
	}
	_, err := io.WriteString(w, "HTTP/1.1 200 OK\r\nX-Release: 1\r\n"+header+"Content-Length: 2\r\n\r\nok")
	return err
}
