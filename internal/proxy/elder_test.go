package proxy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
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

// asked is an app that counts what it is asked.
type asked struct {
	http.Handler
	n    atomic.Int64
	last atomic.Pointer[http.Request]
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.n.Add(1)
	a.last.Store(r)
	a.Handler.ServeHTTP(w, r)
}

// notFound is a 404 with a head and a body of the app's own.
func notFound(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("X-Own", "yes")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusNotFound)
	io.WriteString(w, ownBody)
}

var ownBody = strings.Repeat("nothing here. ", 40)

// young is the release that has taken over: it has nothing but /index and what ends
// in a status.
func young(w http.ResponseWriter, r *http.Request) {
	var status int
	_, err := fmt.Sscanf(filepath.Base(r.URL.Path), "%d", &status)
	switch {
	case r.URL.Path == "/static/new":
		io.WriteString(w, "new")
	case err == nil && status > 99:
		w.WriteHeader(status)
	default:
		notFound(w, r)
	}
}

// lent puts a table in force in which the second takes no traffic but for /static/*.
func (r *rig) lent(now steady.Upstream, elders ...steady.Upstream) {
	r.t.Helper()
	t := r.table(steady.Auto, now)
	t.Pools[0].Elders, t.Pools[0].Assets = elders, []string{"/static/*"}
	if err := r.client.Serve(r.t.Context(), t); err != nil {
		r.t.Fatal(err)
	}
}

// family is a release that has taken over, and the one before, which serves old.
func family(t *testing.T, old http.Handler) (*rig, *asked) {
	t.Helper()
	elder := &asked{Handler: old}
	now := backend(t, "new", 2, http.HandlerFunc(young))
	r := newRig(t, steady.Auto, proxy.Limits{}, now)
	r.lent(now, backend(t, "old", 1, elder))
	return r, elder
}

// do asks, and gives the answer with its body read.
func (r *rig) do(method, path string, body io.Reader, header ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url(path), body)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.http().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(b)
}

// own fails the test unless the answer is the new release's 404, untouched.
func own(t *testing.T, what string, res *http.Response, body string) {
	t.Helper()
	if res.StatusCode != 404 || body != ownBody || res.Header.Get("X-Own") != "yes" || res.Header.Get("Content-Type") != "application/problem+json" ||
		res.ContentLength != int64(len(ownBody)) {
		t.Errorf("%s: %s %v %q", what, res.Status, res.Header, body)
	}
}

func TestElder_IsAskedForAnAssetThatTheNewReleaseDoesNotHave(t *testing.T) {
	large := bytes.Repeat([]byte("old asset "), 100_000)
	r, elder := family(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/css")
		w.Write(large)
	}))
	for range 5 {
		res, body := r.do("GET", "/static/app.1.css?v=3", nil, "If-None-Match", `"1"`, "Range", "bytes=0-")
		if res.StatusCode != 200 || body != string(large) || res.Header.Get("Content-Type") != "text/css" || res.Header.Get("X-Own") != "" {
			t.Fatalf("%s %v, %d bytes", res.Status, res.Header, len(body))
		}
	}
	if got := elder.last.Load(); got.RequestURI != "/static/app.1.css?v=3" || got.Header.Get("If-None-Match") != `"1"` || got.Header.Get("Range") != "bytes=0-" {
		t.Errorf("the elder got %s %v", got.RequestURI, got.Header)
	}
	if got := r.counts(1); got != (steady.Counts{Elder: 5}) {
		t.Errorf("the elder's release: %+v", got)
	}
	if got := r.counts(2); got != (steady.Counts{Requests: 5, Answered: 5}) {
		t.Errorf("the release in force: %+v", got)
	}
	eventually(t, "nothing is in flight", func() bool { return r.inFlight() == 0 })
}

func (r *rig) inFlight() int {
	n := 0
	for _, u := range r.status().Upstreams {
		n += u.Requests
	}
	return n
}

func TestElder_HeadIsAskedToo(t *testing.T) {
	r, elder := family(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Old", "yes")
		w.Header().Set("Content-Length", "12")
	}))
	res, body := r.do("HEAD", "/static/a", nil)
	if res.StatusCode != 200 || body != "" || res.ContentLength != 12 || res.Header.Get("X-Old") != "yes" || elder.n.Load() != 1 {
		t.Errorf("%s %d %v", res.Status, res.ContentLength, res.Header)
	}
}

func TestElder_IsNeverAskedForAnythingElse(t *testing.T) {
	r, elder := family(t, says("old"))
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/static/a", ""}, {"POST", "/static/a", "x"}, {"PUT", "/static/a", "x"}, {"DELETE", "/static/a", ""},
		{"OPTIONS", "/static/a", ""}, {"PATCH", "/static/a", "x"}, {"GET", "/static/a", "x"}, {"PROPFIND", "/static/a", ""},
		{"GET", "/", ""}, {"GET", "/static", ""}, {"GET", "/api/static/a", ""}, {"GET", "/other/a", ""}, {"HEAD", "/other/a", ""},
		{"GET", "/static/../admin", ""}, {"GET", "/static/%2e%2e/admin", ""}, {"GET", "/static/..%2fadmin", ""},
		{"GET", "/static/..;/admin", ""}, {"GET", "/static//a", ""}, {"GET", "/static/%252e%252e/admin", ""}, {"GET", "/static/a%5cb", ""},
	} {
		var body io.Reader
		if c.body != "" {
			body = strings.NewReader(c.body)
		}
		res, got := r.do(c.method, c.path, body)
		if c.method == "HEAD" {
			got = ownBody
		}
		own(t, c.method+" "+c.path, res, got)
	}
	for _, status := range []int{200, 204, 301, 304, 400, 401, 403, 405, 410, 500, 502, 503} {
		if res, _ := r.do("GET", fmt.Sprintf("/static/%d", status), nil); res.StatusCode != status {
			t.Errorf("%d became %s", status, res.Status)
		}
	}
	if res, body := r.do("GET", "/static/new", nil); res.StatusCode != 200 || body != "new" {
		t.Errorf("%s %q", res.Status, body)
	}
	res, body := r.do("GET", "/static/a", nil, "Connection", "Upgrade", "Upgrade", "websocket")
	own(t, "upgrade", res, body)
	if n := elder.n.Load(); n != 0 {
		t.Errorf("the elder was asked %d times", n)
	}
}

func TestElder_WhatItCannotAnswerIsTheNewReleasesOwn404(t *testing.T) {
	r, elder := family(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/static/missing":
			http.Error(w, strings.Repeat("not here either ", 10_000), 404)
		case "/static/failing":
			http.Error(w, "old and broken", 500)
		case "/static/events":
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: 1\n\n")
		case "/static/aborting":
			panic(http.ErrAbortHandler)
		case "/static/garbage":
			c, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(c, "no HTTP\r\n\r\n")
			c.Close()
		}
	}))
	paths := []string{"missing", "failing", "events", "aborting", "garbage"}
	for range 3 {
		for _, path := range paths {
			res, body := r.do("GET", "/static/"+path, nil)
			own(t, path, res, body)
		}
	}
	asked := int64(3 * len(paths))
	if got := r.counts(2); got != (steady.Counts{Requests: asked, Answered: asked}) || r.counts(1) != (steady.Counts{Elder: asked}) {
		t.Errorf("%+v, elder %+v", got, r.counts(1))
	}
	if n := elder.n.Load(); n < asked {
		t.Errorf("the elder was asked %d times", n)
	}
}

func TestElder_ThatIsSlowOrGoneCostsNoMoreThanItsTime(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	silent := tcpBackend(t, "silent", 1, func(c net.Conn) { io.Copy(io.Discard, c) })
	now := backend(t, "new", 2, http.HandlerFunc(young))
	for name, elder := range map[string]steady.Upstream{"gone": upstreamAt("gone", 1, gone.Addr().String()), "silent": silent} {
		r := newRig(t, steady.Auto, proxy.Limits{}, now)
		r.lent(now, elder)
		began := time.Now()
		res, body := r.do("GET", "/static/a", nil)
		own(t, name, res, body)
		if took := time.Since(began); name == "silent" && took < 1900*time.Millisecond || took > 4*time.Second {
			t.Errorf("%s: the 404 took %s", name, took)
		}
		began = time.Now()
		res, body = r.do("GET", "/static/b", nil)
		own(t, name+" again", res, body)
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s: the next one waited %s for it again", name, took)
		}
		if got := r.counts(2); got != (steady.Counts{Requests: 2, Answered: 2}) || r.counts(1) != (steady.Counts{Elder: 1}) {
			t.Errorf("%s: %+v, elder %+v", name, got, r.counts(1))
		}
	}
}

func TestElder_OfTheSameReleaseIsNotAsked(t *testing.T) {
	elder := &asked{Handler: says("old")}
	now := backend(t, "new", 2, http.HandlerFunc(young))
	r := newRig(t, steady.Auto, proxy.Limits{}, now)
	r.lent(now, backend(t, "left", 2, elder))
	res, body := r.do("GET", "/static/a", nil)
	own(t, "same release", res, body)
	if elder.n.Load() != 0 {
		t.Error("it was asked")
	}
}

func TestElder_ItsDrainWaitsForWhatItAnswersAndItIsAskedForNothingMore(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	old := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/static/a" {
			return
		}
		io.WriteString(w, "begun, ")
		w.(http.Flusher).Flush()
		close(entered)
		<-release
		io.WriteString(w, "ended")
	})
	elder := backend(t, "old", 1, old)
	now := backend(t, "new", 2, http.HandlerFunc(young))
	r := newRig(t, steady.Auto, proxy.Limits{}, now)
	r.lent(now, elder)
	if code, _ := r.get("/static/quick"); code != 200 { // an elder that is idle again stays known
		t.Errorf("%d", code)
	}
	answer := make(chan string, 1)
	go func() {
		_, body := r.do("GET", "/static/a", nil)
		answer <- body
	}()
	within(t, "the elder is asked", entered)
	drained := make(chan steady.Drained, 1)
	go func() {
		d, err := r.client.Drain(t.Context(), []string{elder.ID}, steady.Drain{Requests: time.Minute})
		if err != nil {
			t.Error(err)
		}
		drained <- d
	}()
	// While it is drained it is asked no more, even where the table still lists it.
	eventually(t, "the drain has begun", func() bool {
		res, body := r.do("GET", "/static/b", nil)
		return res.StatusCode == 404 && body == ownBody
	})
	r.serve(steady.Auto, now)
	res, body := r.do("GET", "/static/b", nil)
	own(t, "after the shift", res, body)
	select {
	case d := <-drained:
		t.Fatalf("drained %+v with an answer under way", d)
	default:
	}
	close(release)
	if d := <-drained; d.Requests < 1 || d.Cut != 0 { // one of those above may have been before it
		t.Errorf("drained %+v", d)
	}
	if body := <-answer; body != "begun, ended" {
		t.Errorf("%q", body)
	}
}

func TestElder_CutByItsDrainLeavesThe404OrIsCounted(t *testing.T) {
	entered := make(chan struct{})
	elder := tcpBackend(t, "old", 1, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		close(entered)
		io.Copy(io.Discard, c)
	})
	now := backend(t, "new", 2, http.HandlerFunc(young))
	r := newRig(t, steady.Auto, proxy.Limits{}, now)
	r.lent(now, elder)
	done := make(chan struct{})
	go func() {
		defer close(done)
		res, body := r.do("GET", "/static/a", nil)
		own(t, "cut before the head", res, body)
	}()
	within(t, "the elder is asked", entered)
	r.serve(steady.Auto, now)
	d, err := r.client.Drain(t.Context(), []string{elder.ID}, steady.Drain{Requests: time.Millisecond})
	if err != nil || d.Requests != 1 || d.Cut != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	within(t, "the 404", done)
	if got := r.counts(2); got != (steady.Counts{Requests: 1, Answered: 1}) {
		t.Errorf("%+v", got)
	}
}

func TestElder_TheNewReleasesConnectionIsUsedAgain(t *testing.T) {
	var opened atomic.Int64
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(young), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	now := upstreamAt("new", 2, ln.Addr().String())
	r := newRig(t, steady.Auto, proxy.Limits{}, now)
	old := func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/static/missing" {
			http.NotFound(w, req)
		}
	}
	r.lent(now, backend(t, "old", 1, http.HandlerFunc(old)))
	for range 10 {
		if res, body := r.do("GET", "/static/a", nil); res.StatusCode != 200 || body != "" {
			t.Fatalf("%s %q", res.Status, body)
		}
		res, body := r.do("GET", "/static/missing", nil)
		own(t, "neither has it", res, body)
	}
	if n := opened.Load(); n > 2 {
		t.Errorf("%d connections were opened for 20 requests, one after the other", n)
	}
}

func TestElder_AShiftBackMakesItAnUpstreamAgain(t *testing.T) {
	now, old := backend(t, "new", 2, http.HandlerFunc(young)), backend(t, "old", 1, says("old"))
	r := newRig(t, steady.Auto, proxy.Limits{}, old)
	for range 3 {
		r.lent(now, old)
		if _, body := r.get("/static/a"); body != "old" {
			t.Errorf("as an elder it answers %q", body)
		}
		if code, _ := r.get("/a"); code != 404 {
			t.Errorf("it takes traffic: %d", code)
		}
		r.serve(steady.Auto, old)
		if _, body := r.get("/a"); body != "old" {
			t.Errorf("as an upstream it answers %q", body)
		}
	}
	r.lent(now, old)
	r.get("/static/a")
	r.serve(steady.Auto, now)
	eventually(t, "it is forgotten", func() bool { return len(r.status().Upstreams) == 1 })
}

func TestElder_OverEveryVersionOfHTTP(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "api.test")
	h.pools[0].Upstreams = []steady.Upstream{backend(t, "new", 2, http.HandlerFunc(young))}
	h.pools[0].Elders, h.pools[0].Assets = []steady.Upstream{backend(t, "old", 1, says("old"))}, []string{"/static/*"}
	h.secure(s, to("api.test", "/", "api"))
	for version := 1; version <= 3; version++ {
		c := h.to(h.https(s, version), "api.test")
		for path, want := range map[string]string{"/static/a": "old", "/other": ownBody} {
			req, err := http.NewRequest(http.MethodGet, "https://"+h.addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "api.test"
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || string(b) != want || res.ProtoMajor != version {
				t.Errorf("%s over %s: %q, %v", path, res.Proto, b, err)
			}
		}
	}
}

func TestElder_WithinAProject(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	serveAt(t, 1, 8000, &http.Server{Handler: says("old")})
	serveAt(t, 2, 8000, &http.Server{Handler: http.HandlerFunc(young)})
	r := newInnerRig(t, replica(2))
	table := r.table(replica(2))
	table.Pools[0].Elders, table.Pools[0].Assets = []steady.Upstream{replica(1)}, []string{"/static/*"}
	for _, elders := range []int{1, 0} {
		if elders == 0 {
			table = r.table(replica(2))
		}
		if err := r.client.Serve(t.Context(), table); err != nil {
			t.Fatal(err)
		}
		c := r.dialIn(8000)
		c.send("GET /static/a HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
		res := c.response()
		b, _ := io.ReadAll(res.Body)
		if elders == 1 && string(b) != "old" || elders == 0 && res.StatusCode != 404 {
			t.Errorf("with %d elders: %s %q", elders, res.Status, b)
		}
	}
}

func TestElder_TheAccessLogNamesIt(t *testing.T) {
	r, _ := family(t, says("old"))
	r.stop()
	r.options.Access = proxy.AccessLog{Path: filepath.Join(t.TempDir(), "log")}
	r.start()
	r.addr = fmt.Sprintf("127.0.0.1:%d", r.status().Listeners[0].Bound)
	r.get("/static/a")
	r.get("/other")
	r.stop()
	b, err := os.ReadFile(r.options.Access.Path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(b)) {
		var e struct {
			Status          int
			Upstream, Elder string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(e.Status, " ", e.Upstream, " ", e.Elder))
	}
	if want := fmt.Sprint([]string{"200 new old", "404 new "}); fmt.Sprint(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestElder_ABadTableIsRefused(t *testing.T) {
	u := backend(t, "a", 1, says("a"))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	for name, spoil := range map[string]func(*steady.Pool){
		"takes traffic": func(p *steady.Pool) { p.Elders = p.Upstreams },
		"no address":    func(p *steady.Pool) { p.Elders = []steady.Upstream{{ID: "x", Addr: "nowhere"}} },
		"no path":       func(p *steady.Pool) { p.Assets = []string{"static/*"} },
	} {
		table := r.table(steady.Auto, u)
		spoil(&table.Pools[0])
		if err := r.client.Serve(t.Context(), table); err == nil || steady.AsError(err).Code != steady.ErrUsage.Code {
			t.Errorf("%s: %v", name, err)
		}
	}
}
