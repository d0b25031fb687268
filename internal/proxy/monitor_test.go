package proxy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// accessLine is what a line of the access log says.
type accessLine struct {
	Time                    time.Time
	ID, Client, Peer, Host  string
	Method, Path, Proto     string
	Status                  int
	Bytes                   int64
	Service, Upstream       string
	Release                 int
	Claim, First, Total     float64
	Retried                 int
	Stream                  bool
	Outcome, Referer, Agent string
}

// logged is a rig whose proxy keeps an access log.
func logged(t *testing.T, limits proxy.Limits, us ...steady.Upstream) (*rig, string) {
	t.Helper()
	r := newRig(t, steady.HTTP, limits, us...)
	r.stop()
	path := filepath.Join(t.TempDir(), "access.log")
	r.options.Access = proxy.AccessLog{Path: path}
	r.start()
	return r, path
}

// lines stops the proxy, so that all are written, and reads the log.
func (r *rig) lines(path string) []accessLine {
	r.t.Helper()
	r.stop()
	f, err := os.Open(path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	var out []accessLine
	for s := bufio.NewScanner(f); s.Scan(); {
		var l accessLine
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			r.t.Fatalf("%v: %s", err, s.Text())
		}
		out = append(out, l)
	}
	return out
}

func (r *rig) flow(release int) steady.Flow {
	r.t.Helper()
	f, err := r.client.Flows(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return f["shop/api"][release]
}

func TestFlows_CountClassesAndLatenciesOfAnswersOnly(t *testing.T) {
	u := backend(t, "api-1", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case "/404":
			w.WriteHeader(http.StatusNotFound)
		case "/break":
			panic(http.ErrAbortHandler)
		}
	}))
	r := newRig(t, steady.HTTP, proxy.Limits{}, u)
	for path, want := range map[string]int{"/": 200, "/500": 500, "/404": 404, "/break": 502} {
		if got, _ := r.get(path); got != want {
			t.Errorf("%s answered %d, want %d", path, got, want)
		}
	}
	eventually(t, "all four are counted", func() bool { c := r.flow(1).Counts; return c.Answered+c.Lost == 4 })
	f := r.flow(1)
	if f.Classes != [6]int64{0, 0, 1, 0, 1, 1} || f.Took.Count() != 3 || f.Sum <= 0 {
		t.Errorf("classes %v, %d latencies, %s in all", f.Classes, f.Took.Count(), f.Sum)
	}
	if p := f.Minute.Pace(); p.Requests != 4 || p.Errors != 2 || p.P50 <= 0 || p.P99 < p.P50 {
		t.Errorf("pace %+v", p)
	}
	if !f.Routed || f.Open != (steady.Open{}) {
		t.Errorf("routed %v, open %+v", f.Routed, f.Open)
	}
}

func TestFlows_TellWhatIsInFlight(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "api-1", 1, slow(entered, release)))
	done := make(chan struct{})
	go func() { defer close(done); r.get("/slow") }()
	<-entered
	if o := r.flow(1).Open; o.Requests != 1 || o.Streams != 0 {
		t.Errorf("open %+v", o)
	}
	close(release)
	<-done
	eventually(t, "it is over", func() bool { return r.flow(1).Open == steady.Open{} })
}

func TestAccessLog_TellsEachRequestOnceWithItsOutcome(t *testing.T) {
	got := make(chan string, 10)
	u := backend(t, "api-1", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("X-Request-Id")
		switch r.URL.Path {
		case "/break":
			panic(http.ErrAbortHandler)
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: 1\n\n")
		default:
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, "hello")
		}
	}))
	r, path := logged(t, proxy.Limits{MaxBody: 10}, u)
	ask := func(method, target, body string, header http.Header) {
		t.Helper()
		req, err := http.NewRequest(method, r.url(target), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		res, err := r.http().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	ask("GET", "/a%20b?token=secret", "", http.Header{"X-Request-Id": {"mine"}, "User-Agent": {"me"}, "X-Forwarded-For": {"198.51.100.7"}})
	ask("GET", "/made", "", nil)
	ask("POST", "/break", "", nil)
	ask("GET", "/events", "", nil)
	ask("POST", "/large", strings.Repeat("x", 100), nil)
	r.serve(steady.HTTP)
	ask("GET", "/nobody", "", nil)
	if id := <-got; id != "mine" {
		t.Errorf("the app was told id %q", id)
	}
	made := <-got
	if len(made) != 32 {
		t.Errorf("the app was told id %q", made)
	}
	if c := r.counts(0); c.Requests != 2 || c.Left != 1 || c.Lost != 1 {
		t.Errorf("what found no upstream, or came to no claim: %+v", c)
	}
	byPath := map[string]accessLine{}
	for _, l := range r.lines(path) {
		byPath[l.Path] = l
		if l.ID == "" || l.Peer != "127.0.0.1" || l.Service != "shop/api" || l.Proto != "HTTP/1.1" || l.Host != r.addr || time.Since(l.Time) > time.Minute || l.Total <= 0 {
			t.Errorf("%+v", l)
		}
	}
	if len(byPath) != 6 {
		t.Fatalf("%d lines: %v", len(byPath), byPath)
	}
	if l := byPath["/a%20b"]; l.ID != "mine" || l.Status != 418 || l.Bytes != 5 || l.Release != 1 || l.Upstream != "api-1" ||
		l.Outcome != "answered" || l.Agent != "me" || l.Client != "198.51.100.7" || l.First <= 0 || l.First > l.Total || l.Claim > l.First || l.Stream {
		t.Errorf("%+v", l)
	}
	if l := byPath["/made"]; l.ID != made || l.Client != "127.0.0.1" {
		t.Errorf("id %q, the app was told %q, client %s", l.ID, made, l.Client)
	}
	for p, want := range map[string]struct {
		status  int
		outcome string
		release int
		stream  bool
	}{"/break": {502, "lost", 1, false}, "/events": {200, "answered", 1, true}, "/large": {413, "left", 0, false}, "/nobody": {503, "lost", 0, false}} {
		if l := byPath[p]; l.Status != want.status || l.Outcome != want.outcome || l.Release != want.release || l.Stream != want.stream {
			t.Errorf("%s: %+v, want %+v", p, l, want)
		}
	}
}

func TestAccessLog_TellsUpgradesRetriesAndClientsThatLeave(t *testing.T) {
	entered := make(chan struct{})
	var tries atomic.Int32
	u := tcpBackend(t, "api-1", 1, func(c net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		switch req.URL.Path {
		case "/ws":
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello")
		case "/again":
			if tries.Add(1) > 1 {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		case "/slow":
			close(entered)
			_, _ = c.Read(make([]byte, 1)) // until the proxy gives up
		}
	})
	other := u
	other.ID, other.Name, other.Release = "id-api-2", "api-2", 1
	r, path := logged(t, proxy.Limits{}, u, other)
	c := r.dial()
	c.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	if res := c.response(); res.StatusCode != 101 {
		t.Fatalf("status %d", res.StatusCode)
	}
	if b, err := io.ReadAll(c.r); string(b) != "hello" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	c.Close()
	if status, _ := r.get("/again"); status != 200 {
		t.Errorf("status %d", status)
	}
	gone := r.dial()
	gone.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	gone.Close()
	eventually(t, "all are counted", func() bool { c := r.counts(1); return c.Answered == 2 && c.Left == 1 })
	byPath := map[string]accessLine{}
	for _, l := range r.lines(path) {
		byPath[l.Path] = l
	}
	if l := byPath["/ws"]; l.Status != 101 || l.Bytes != 5 || !l.Stream || l.Outcome != "answered" || l.First <= 0 {
		t.Errorf("%+v", l)
	}
	if l := byPath["/again"]; l.Retried != 1 || l.Status != 200 {
		t.Errorf("%+v", l)
	}
	if l := byPath["/slow"]; l.Status != 499 || l.Outcome != "left" || l.First != 0 {
		t.Errorf("%+v", l)
	}
}

func TestAccessLog_IsReopenedAndToldOfInTheStatus(t *testing.T) {
	r, path := logged(t, proxy.Limits{}, backend(t, "api-1", 1, says("hi")))
	r.get("/before")
	eventually(t, "the line is written", func() bool { return r.status().AccessLog.Written == 1 })
	if s := r.status().AccessLog; !s.On || s.Path != path || s.Format != proxy.AccessJSON || s.Dropped != 0 {
		t.Errorf("status %+v", s)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	r.proxy.Reopen()
	eventually(t, "there is a new file", func() bool { _, err := os.Stat(path); return err == nil })
	r.get("/after")
	if got := r.lines(path); len(got) != 1 || got[0].Path != "/after" {
		t.Errorf("%+v", got)
	}
	if got := r.lines(path + ".1"); len(got) != 1 || got[0].Path != "/before" {
		t.Errorf("%+v", got)
	}
}

func TestProxy_NeedsAFormatItKnows(t *testing.T) {
	_, err := proxy.New(proxy.Options{Socket: "s", TableFile: "t", Access: proxy.AccessLog{Path: "a", Format: "xml"}})
	if err == nil || !strings.Contains(err.Error(), "xml") {
		t.Errorf("%v", err)
	}
}
