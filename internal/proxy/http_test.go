package proxy_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

func TestHTTP_RequestArrivesAsItWasSent(t *testing.T) {
	var got *http.Request
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = r }))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	c := r.dial()
	c.send("GET /a%2Fb/\"x\"//c;d?q=1;2&%zz HTTP/1.1\r\nHost: shop.example:8000\r\n" +
		"X-Request-Id: 7\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\r\n")
	if res := c.response(); res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	if want := "/a%2Fb/\"x\"//c;d?q=1;2&%zz"; got.RequestURI != want {
		t.Errorf("target %q, want %q", got.RequestURI, want)
	}
	want := http.Header{
		"X-Forwarded-For": {"9.9.9.9, 127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"shop.example:8000"}, "X-Request-Id": {"7"},
	}
	if d := cmp.Diff(want, got.Header); d != "" {
		t.Error(d)
	}
	if got.Host != "shop.example:8000" {
		t.Errorf("host %q", got.Host)
	}
}

func TestHTTP_AnswerIsPassedOnAsItIs(t *testing.T) {
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("ETag", `"1"`)
			w.WriteHeader(304)
		case "/bare":
			w.Header()["Content-Type"] = nil
			io.WriteString(w, "<html>")
		case "/trailer":
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "body")
			w.(http.Flusher).Flush()
			w.Header().Set("X-Sum", "42")
			w.Header().Set(http.TrailerPrefix+"X-Late", "43")
		case "/500":
			w.WriteHeader(500)
		}
	}))
	r := newRig(t, steady.HTTP, proxy.Limits{}, u)
	for _, path := range []string{"/204", "/304", "/500"} {
		if code, body := r.get(path); fmt.Sprintf("/%d", code) != path || body != "" {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	res, err := r.http().Get(r.url("/bare"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if v, ok := res.Header["Content-Type"]; ok {
		t.Errorf("a Content-Type was made up: %q", v)
	}
	res, err = r.http().Get(r.url("/trailer"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if d := cmp.Diff(http.Header{"X-Sum": {"42"}, "X-Late": {"43"}}, res.Trailer); d != "" {
		t.Error(d)
	}
	res, err = r.http().Head(r.url("/trailer"))
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	eventually(t, "all are counted", func() bool { return r.counts(1).Answered == 6 })
	if c := r.counts(1); c.Requests != 6 || c.Errors != 1 || c.Lost != 0 {
		t.Errorf("%+v", c)
	}
}

func TestHTTP_EarlyHintsArriveBeforeTheAnswer(t *testing.T) {
	hinted := make(chan struct{})
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		<-hinted
		io.WriteString(w, "ok")
	}))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	var got textproto.MIMEHeader
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		got = h
		close(hinted)
		return nil
	}}
	req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", r.url("/"), nil)
	res, err := r.http().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got.Get("Link") != "</a.css>" {
		t.Errorf("hints: %v", got)
	}
}

func TestHTTP_ContinueComesFromTheApp(t *testing.T) {
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		io.Copy(w, r.Body)
	}))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	for range 20 {
		c := r.dial()
		c.send("POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		if res := c.response(); res.StatusCode != http.StatusExpectationFailed {
			t.Fatalf("a false %s", res.Status)
		}
		c.Close()
	}
	c := r.dial()
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if line := c.line(); line != "HTTP/1.1 100 Continue" {
		t.Fatal(line)
	}
	c.line()
	c.send("body")
	if b, _ := io.ReadAll(c.response().Body); string(b) != "body" {
		t.Errorf("%q", b)
	}
}

func TestHTTP_BigBodiesStreamBothWaysInBoundedMemory(t *testing.T) {
	const size = 128 << 20
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Got", fmt.Sprint(n))
		io.CopyN(w, zeros{}, size)
	}))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := r.http().Post(r.url("/"), "application/octet-stream", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	res.Body.Close()
	runtime.ReadMemStats(&after)
	if err != nil || n != size || res.Header.Get("X-Got") != fmt.Sprint(size) {
		t.Errorf("up %s, down %d of %d: %v", res.Header.Get("X-Got"), n, size, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d MiB allocated for 256 MiB passed on", grown>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestHTTP_UploadIsReadWhileItIsSent(t *testing.T) {
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		buf := make([]byte, 1)
		for {
			if _, err := io.ReadFull(r.Body, buf); err != nil {
				return
			}
			w.Write(buf)
			rc.Flush()
		}
	}))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	pr, pw := io.Pipe()
	req, _ := http.NewRequest("POST", r.url("/"), pr)
	go pw.Write([]byte("a"))
	res, err := r.http().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	buf := make([]byte, 1)
	for _, b := range []byte("abc") {
		if b != 'a' {
			pw.Write([]byte{b})
		}
		if _, err := io.ReadFull(res.Body, buf); err != nil || buf[0] != b {
			t.Fatalf("%q, want %q: %v", buf, b, err)
		}
	}
	pw.Close()
}

func TestLimits_OversizedHeadIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, steady.Auto, proxy.Limits{MaxHeaderBytes: 8 << 10}, backend(t, "a", 1, says("a")))
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 32<<10) + "\r\n\r\n")
	if res := c.response(); res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(res.Status)
	}
}

func TestLimits_OversizedBodyIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, steady.Auto, proxy.Limits{MaxBody: 100 << 10}, backend(t, "a", 1, http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })))
	for name, body := range map[string]io.Reader{
		"declared": bytes.NewReader(make([]byte, 200<<10)),
		"chunked":  io.LimitReader(rand.Reader, 200<<10),
	} {
		res, err := r.http().Post(r.url("/"), "text/plain", body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	if c := r.counts(1); c.Lost != 0 {
		t.Errorf("a client's fault counted as lost: %+v", c)
	}
}

func TestLimits_SlowHeadIsCut(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{ReadHeaderTimeout: 100 * time.Millisecond}, backend(t, "a", 1, says("a")))
	for _, begin := range []string{"G", "GET / HTTP/1.1\r\nHost: x\r\nX-S", "POST /"} {
		c := r.dial()
		c.send(begin)
		start := time.Now()
		io.Copy(io.Discard, c.r)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%q: open for %v", begin, took)
		}
	}
}

func TestLimits_SlowBodyIsCutWith408(t *testing.T) {
	t.Parallel()
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	r := newRig(t, steady.Auto, proxy.Limits{BodyIdle: 100 * time.Millisecond}, u)
	for _, length := range []int{1000, 1 << 20} { // read beforehand, and streamed
		c := r.dial()
		c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nabc", length))
		if res := c.response(); res.StatusCode != http.StatusRequestTimeout || !res.Close {
			t.Errorf("%d: %s close=%v", length, res.Status, res.Close)
		}
	}
}

func TestLimits_SteadyUploadSlowerThanBodyIdleGoesThrough(t *testing.T) {
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	r := newRig(t, steady.Auto, proxy.Limits{BodyIdle: 300 * time.Millisecond}, u)
	c := r.dial()
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for _, b := range "abcdef" {
		<-tick.C
		c.send(string(b))
	}
	if b, err := io.ReadAll(c.response().Body); string(b) != "abcdef" {
		t.Errorf("%q %v", b, err)
	}
}

func TestHTTP_IdleConnectionStaysOpenAndServesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, steady.Auto, proxy.Limits{ReadHeaderTimeout: 50 * time.Millisecond, BodyIdle: 50 * time.Millisecond},
		backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })))
	c := r.dial()
	for range 3 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
		if b, _ := io.ReadAll(c.response().Body); string(b) != "hi" {
			t.Fatalf("%q", b)
		}
		expectSilence(t, c, 150*time.Millisecond)
	}
}

// expectSilence says that c neither speaks nor ends for d.
func expectSilence(t *testing.T, c *conn, d time.Duration) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(d))
	b, err := c.r.Peek(1)
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("wanted silence, got %q, %v", b, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
}
