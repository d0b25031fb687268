package proxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// shut puts the rig's pool under a maintenance, nil to open it, and clears it.
func (r *rig) shut(protocol string, m *steady.Maintenance, us ...steady.Upstream) steady.Drained {
	r.t.Helper()
	t := r.table(protocol, us...)
	if m != nil {
		m.Project = "shop"
		if m.RetryAfter == 0 {
			m.RetryAfter = time.Minute
		}
		t.Maintenance, t.Pools[0].Maintenance = []steady.Maintenance{*m}, "shop"
	}
	if err := r.client.Serve(r.t.Context(), t); err != nil {
		r.t.Fatal(err)
	}
	d, err := r.client.Clear(r.t.Context(), []string{poolName}, steady.Drain{Requests: 10 * time.Second, Streams: 50 * time.Millisecond})
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func ask(t *testing.T, c *http.Client, url string, header ...string) (*http.Response, string) {
	t.Helper()
	q, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Add(header[i], header[i+1])
	}
	res, err := c.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestMaintenance_AnswersWithThePageOrJSON(t *testing.T) {
	app := backend(t, "a", 1, says("app"))
	r := newRig(t, steady.Auto, proxy.Limits{}, app)
	r.shut(steady.Auto, &steady.Maintenance{Message: "back at <noon>", RetryAfter: 90*time.Second + 1}, app)
	for accept, want := range map[string]string{
		"":                                  "text/html",
		"text/html,application/json;q=0.9":  "text/html",
		"*/*":                               "text/html",
		"application/json":                  "application/json",
		"application/json, text/plain, */*": "application/json",
		"application/problem+json":          "application/json",
		"application/json;q=0":              "text/html",
	} {
		res, body := ask(t, r.http(), r.url("/x"), "Accept", accept)
		h := res.Header
		if res.StatusCode != 503 || !strings.HasPrefix(h.Get("Content-Type"), want) || h.Get("Retry-After") != "91" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("accept %q: %d %v", accept, res.StatusCode, h)
		}
		if want == "text/html" && !strings.Contains(body, "back at &lt;noon&gt;") {
			t.Errorf("accept %q: %s", accept, body)
		}
		if want == "application/json" {
			var said struct {
				Error, Message string
				RetryAfter     int `json:"retry_after"`
			}
			if err := json.Unmarshal([]byte(body), &said); err != nil || said.Message != "back at <noon>" || said.RetryAfter != 91 {
				t.Errorf("accept %q: %s (%v)", accept, body, err)
			}
		}
	}
	if got := r.counts(0); got.Maintained != 7 || got.Lost != 0 || got.Requests != 0 {
		t.Errorf("counts %+v", got)
	}
	r.shut(steady.Auto, &steady.Maintenance{Page: "<b>own</b>"}, app)
	if code, body := r.get("/"); code != 503 || body != "<b>own</b>" {
		t.Errorf("own page: %d %q", code, body)
	}
	r.shut(steady.Auto, nil, app)
	if code, body := r.get("/"); code != 200 || body != "app" {
		t.Errorf("open again: %d %q", code, body)
	}
}

func TestMaintenance_KeepsTheConnectionAlsoAfterABody(t *testing.T) {
	app := backend(t, "a", 1, http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { io.Copy(io.Discard, q.Body) }))
	r := newRig(t, steady.HTTP, proxy.Limits{}, app)
	c := r.dial()
	for i, m := range []*steady.Maintenance{nil, {}, nil, {Message: "again"}} {
		r.shut(steady.HTTP, m, app)
		for _, q := range []string{
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000),
			"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + "5\r\nhello\r\n0\r\n\r\n",
		} {
			c.send(q)
			res := c.response()
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 200, false: 503}[m == nil]; res.StatusCode != want || res.Close {
				t.Fatalf("round %d, %.4s: %d, close %v", i, q, res.StatusCode, res.Close)
			}
		}
	}
}

func TestMaintenance_LetsTheTeamThroughByHeader(t *testing.T) {
	app := backend(t, "a", 1, says("app"))
	r := newRig(t, steady.Auto, proxy.Limits{}, app)
	r.shut(steady.Auto, &steady.Maintenance{AllowHeaders: []steady.HeaderSum{
		{Name: "X-Team", Sum: steady.SumHeader("secret")}, {Name: "X-Other", Sum: steady.SumHeader("more")},
	}}, app)
	for value, want := range map[string]int{"": 503, "wrong": 503, "secret ": 200 /* trimmed by HTTP itself */, "secret": 200, "Secret": 503, "more": 503} {
		if res, _ := ask(t, r.http(), r.url("/"), "X-Team", value); res.StatusCode != want {
			t.Errorf("X-Team: %q: %d, want %d", value, res.StatusCode, want)
		}
	}
}

func TestMaintenance_WhatIsInFlightHasItsClock(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/slow", slow(entered, release))
	var ended atomic.Int64
	mux.Handle("/", wsApp(&ended))
	app := backend(t, "a", 1, mux)
	r := newRig(t, steady.HTTP, proxy.Limits{}, app)
	visitor := dialWS(t, r)
	team, _, err := websocket.Dial(t.Context(), "ws://"+r.addr+"/", &websocket.DialOptions{HTTPHeader: http.Header{"X-Team": {"us"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer team.CloseNow()
	echo(t, visitor, "a")
	echo(t, team, "b")
	answered := make(chan int, 1)
	go func() {
		res, err := r.http().Get(r.url("/slow"))
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		res.Body.Close()
		answered <- res.StatusCode
	}()
	within(t, "the slow request arrives", entered)
	cleared := make(chan steady.Drained)
	go func() {
		cleared <- r.shut(steady.HTTP, &steady.Maintenance{AllowHeaders: []steady.HeaderSum{{Name: "X-Team", Sum: steady.SumHeader("us")}}}, app)
	}()
	_, _, err = visitor.Read(t.Context())
	if got := websocket.CloseStatus(err); got != websocket.StatusServiceRestart {
		t.Errorf("the visitor's WebSocket ended with %v", err)
	}
	if code, _ := r.get("/slow"); code != 503 {
		t.Errorf("a new visitor got %d", code)
	}
	close(release)
	if code := <-answered; code != 200 {
		t.Errorf("what was in flight got %d", code)
	}
	d := <-cleared
	if d.Requests != 1 || d.Cut != 0 || d.Streams != 1 || d.StreamsClosed != 1 {
		t.Errorf("cleared %+v", d)
	}
	echo(t, team, "still here")
}

// Once the call that clears has returned, the app is alone with its team.
func TestMaintenance_NothingReachesTheAppOnceCleared(t *testing.T) {
	var alone atomic.Bool
	var seen atomic.Int64
	app := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		seen.Add(1)
		if alone.Load() {
			t.Error("a visitor came in")
		}
		io.WriteString(w, "app")
		if alone.Load() {
			t.Error("a visitor was still in")
		}
	}))
	r := newRig(t, steady.Auto, proxy.Limits{}, app)
	stop := make(chan struct{})
	var visitors sync.WaitGroup
	var open, shut atomic.Int64
	for range 6 {
		visitors.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch res, body := ask(t, c, r.url("/")); {
				case res.StatusCode == 200 && body == "app":
					open.Add(1)
				case res.StatusCode == 503 && strings.Contains(body, "Maintenance"):
					shut.Add(1)
				default:
					t.Errorf("%d %q", res.StatusCode, body)
				}
			}
		})
	}
	for range 60 {
		r.shut(steady.Auto, &steady.Maintenance{}, app)
		alone.Store(true)
		was := shut.Load()
		eventually(t, "the page is seen", func() bool { return shut.Load() > was })
		alone.Store(false)
		r.shut(steady.Auto, nil, app)
		was = open.Load()
		eventually(t, "the app is seen", func() bool { return open.Load() > was })
	}
	close(stop)
	visitors.Wait()
	t.Logf("%d answers of the app, %d pages", open.Load(), shut.Load())
}

func TestMaintenance_ClosesTCPAndEndsWhatWasOpen(t *testing.T) {
	app := tcpBackend(t, "a", 1, func(c net.Conn) { io.Copy(c, c) })
	r := newRig(t, steady.TCP, proxy.Limits{}, app)
	old := r.dial()
	old.send("hello\n")
	old.line()
	d := r.shut(steady.TCP, &steady.Maintenance{}, app)
	if d.Streams != 1 || d.StreamsQuiet != 1 {
		t.Errorf("cleared %+v", d)
	}
	for _, c := range []*conn{old, r.dial()} {
		if b, err := c.r.ReadByte(); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("read %q, %v", b, err)
		}
	}
	r.shut(steady.TCP, &steady.Maintenance{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, app)
	team := r.dial()
	team.send("hello\n")
	if team.line() != "hello" {
		t.Error("the team was not let through")
	}
}

func TestMaintenance_ClosesWhereTheServerSpeaksFirst(t *testing.T) {
	app := tcpBackend(t, "a", 1, func(c net.Conn) {
		io.WriteString(c, "220 ready\n")
		io.Copy(io.Discard, c)
	})
	r := newRig(t, steady.Auto, proxy.Limits{}, app)
	if r.dial().line() != "220 ready" {
		t.Fatal("no greeting")
	}
	r.shut(steady.Auto, &steady.Maintenance{}, app)
	c := r.dial()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
}

func TestMaintenance_HTTP2WithoutTLSGetsThePageAndTheTeamTheApp(t *testing.T) {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Protocols: &protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { io.WriteString(w, q.Proto) })}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	app := upstreamAt("a", 1, ln.Addr().String())
	r := newRig(t, steady.Auto, proxy.Limits{}, app)
	r.shut(steady.Auto, &steady.Maintenance{AllowHeaders: []steady.HeaderSum{{Name: "X-Team", Sum: steady.SumHeader("us")}}}, app)
	tr := &http.Transport{Protocols: &protocols}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}
	if res, body := ask(t, c, r.url("/")); res.StatusCode != 503 || res.ProtoMajor != 2 || !strings.Contains(body, "Maintenance") {
		t.Errorf("%s %d %q", res.Proto, res.StatusCode, body)
	}
	if res, body := ask(t, c, r.url("/"), "X-Team", "us"); res.StatusCode != 200 || body != "HTTP/2.0" {
		t.Errorf("team: %s %d %q", res.Proto, res.StatusCode, body)
	}
	r.shut(steady.Auto, nil, app)
	if res, body := ask(t, c, r.url("/")); res.StatusCode != 200 || body != "HTTP/2.0" {
		t.Errorf("open again, the same connection: %s %d %q", res.Proto, res.StatusCode, body)
	}
}

func TestMaintenance_OutlivesTheProxy(t *testing.T) {
	app := backend(t, "a", 1, says("app"))
	r := newRig(t, steady.Auto, proxy.Limits{}, app)
	r.shut(steady.Auto, &steady.Maintenance{Message: "still at it"}, app)
	r.stop()
	r.start()
	r.addr = net.JoinHostPort("127.0.0.1", strings.TrimPrefix(r.addr, "127.0.0.1:"))
	if code, body := r.get("/"); code != 503 || !strings.Contains(body, "still at it") {
		t.Errorf("%d %q", code, body)
	}
}

func TestMaintenance_EndsTheClocksWhenItIsOver(t *testing.T) {
	var ended atomic.Int64
	app := backend(t, "a", 1, wsApp(&ended))
	r := newRig(t, steady.HTTP, proxy.Limits{}, app)
	ws := dialWS(t, r)
	echo(t, ws, "a")
	table := r.table(steady.HTTP, app)
	table.Maintenance, table.Pools[0].Maintenance = []steady.Maintenance{{Project: "shop", RetryAfter: time.Second}}, "shop"
	if err := r.client.Serve(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	cleared := make(chan error)
	go func() {
		_, err := r.client.Clear(t.Context(), []string{poolName}, steady.Drain{Requests: time.Hour, Streams: time.Hour})
		cleared <- err
	}()
	r.serve(steady.HTTP, app)
	if err := <-cleared; err != nil {
		t.Error(err)
	}
	echo(t, ws, "still here")
}

func TestMaintenance_WhatOutlivesItsClockGetsThePage(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	app := backend(t, "a", 1, slow(entered, release))
	r := newRig(t, steady.HTTP, proxy.Limits{}, app)
	table := r.table(steady.HTTP, app)
	table.Maintenance, table.Pools[0].Maintenance = []steady.Maintenance{{Project: "shop", RetryAfter: time.Second, Message: "too late"}}, "shop"
	answered := make(chan string, 1)
	go func() {
		res, err := r.http().Get(r.url("/"))
		if err != nil {
			answered <- err.Error()
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		answered <- res.Status + string(b) + fmt.Sprint(err)
	}()
	within(t, "the slow request arrives", entered)
	if err := r.client.Serve(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithTimeout(t.Context(), 10*time.Millisecond) // the caller does not wait: the clock goes on
	defer leave()
	if _, err := r.client.Clear(gone, []string{poolName}, steady.Drain{Requests: 300 * time.Millisecond, Streams: time.Second}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("clear: %v", err)
	}
	if got := <-answered; !strings.HasPrefix(got, "503") || !strings.Contains(got, "too late") {
		t.Errorf("got %q", got)
	}
	if c := r.counts(1); c.Lost != 1 || c.Cut != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestTable_RefusesAMaintenanceThatIsNone(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{})
	for what, spoil := range map[string]func(*steady.Table){
		"not there":  func(t *steady.Table) { t.Pools[0].Maintenance = "shop/web" },
		"no project": func(t *steady.Table) { t.Maintenance = []steady.Maintenance{{RetryAfter: 1}} },
		"twice": func(t *steady.Table) {
			t.Maintenance = []steady.Maintenance{{Project: "a", RetryAfter: 1}, {Project: "a", RetryAfter: 1}}
		},
		"too large": func(t *steady.Table) {
			t.Maintenance = []steady.Maintenance{{Project: "a", RetryAfter: 1, Page: strings.Repeat("x", steady.MaxMaintenancePage+1)}}
		},
		"within":       func(t *steady.Table) { t.Pools = append(t.Pools, steady.Pool{Name: "a@net", Maintenance: "a"}) },
		"a bad cookie": func(t *steady.Table) { t.Pools[0].Sticky = &steady.Sticky{Cookie: "a b"} },
	} {
		table := r.table(steady.HTTP)
		spoil(&table)
		if err := r.client.Serve(t.Context(), table); !errors.Is(err, steady.ErrUsage) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
