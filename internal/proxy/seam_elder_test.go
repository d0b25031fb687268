package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// What is asked of an elder is asked as the client asked it: for a part, or only
// where it has changed.
func TestElder_PartsAndConditionsAreTheElders(t *testing.T) {
	changed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r, elder := family(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"old"`)
		http.ServeContent(w, r, "a.txt", changed, strings.NewReader("0123456789"))
	}))
	for _, c := range []struct {
		method, name, value string
		status              int
		body                string
	}{
		{http.MethodGet, "Range", "bytes=2-4", http.StatusPartialContent, "234"},
		{http.MethodGet, "Range", "bytes=90-", http.StatusRequestedRangeNotSatisfiable, "invalid range: failed to overlap\n"},
		{http.MethodGet, "If-None-Match", `"old"`, http.StatusNotModified, ""},
		{http.MethodGet, "If-Modified-Since", changed.Format(http.TimeFormat), http.StatusNotModified, ""},
		{http.MethodGet, "If-None-Match", `"new"`, http.StatusOK, "0123456789"},
		{http.MethodHead, "Range", "bytes=2-4", http.StatusPartialContent, ""},
	} {
		res, body := r.do(c.method, "/static/a", nil, c.name, c.value)
		if res.StatusCode != c.status || body != c.body || res.Header.Get("X-Own") != "" {
			t.Errorf("%s with %s: %s is %s %q", c.method, c.name, c.value, res.Status, body)
		}
	}
	eventually(t, "nothing is in flight", func() bool { return r.inFlight() == 0 })
	if n := r.counts(1).Elder; n != 6 || elder.n.Load() != 6 {
		t.Errorf("asked %d times, counted %d", elder.n.Load(), n)
	}
}

// An elder is asked too when the gate has been shut since the new release was; and of
// a pool that is shared, for either release in force.
func TestElder_IsAskedBehindAShutGateAndBesideASplit(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	slowly := backend(t, "new", 2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/static/slow" {
			close(entered)
			<-release
		}
		notFound(w, r)
	}))
	other, old := backend(t, "trial", 3, http.HandlerFunc(notFound)), backend(t, "old", 1, says("old"))
	r := newRig(t, steady.HTTP, proxy.Limits{}, slowly)
	put := func(change func(*steady.Pool)) {
		t.Helper()
		tab := r.table(steady.HTTP, slowly)
		p := &tab.Pools[0]
		p.Elders, p.Assets = []steady.Upstream{old}, []string{"/static/*"}
		change(p)
		if err := r.client.Serve(t.Context(), tab); err != nil {
			t.Fatal(err)
		}
	}
	put(func(*steady.Pool) {})
	c, held := r.dial(), r.dial()
	c.send("GET /static/slow HTTP/1.1\r\nHost: x\r\n\r\n")
	within(t, "the new one is asked", entered)
	put(func(p *steady.Pool) { p.Hold, p.Upstreams = gateFor(1, time.Minute), nil })
	held.send("GET /static/held HTTP/1.1\r\nHost: x\r\n\r\n")
	r.waiting(1)
	close(release)
	if b, err := io.ReadAll(c.response().Body); err != nil || string(b) != "old" {
		t.Errorf("behind a shut gate: %q, %v", b, err)
	}
	put(func(p *steady.Pool) {
		p.Upstreams = append(p.Upstreams, other)
		p.Split = &steady.Split{Release: 3, Percent: 50, Header: "X-Trial"}
	})
	if b, err := io.ReadAll(held.response().Body); err != nil || string(b) != "old" {
		t.Errorf("after the gate: %q, %v", b, err)
	}
	for _, side := range []string{steady.SplitAlways, steady.SplitNever} {
		if res, body := r.do(http.MethodGet, "/static/a", nil, "X-Trial", side); body != "old" {
			t.Errorf("%s: %s %q", side, res.Status, body)
		}
	}
	if n := r.counts(1); n.Elder != 4 || n.Requests != 0 {
		t.Errorf("counts %+v", n)
	}
	if two, three := r.counts(2), r.counts(3); two.Requests+three.Requests != 4 || three.Requests < 1 {
		t.Errorf("counts %+v, %+v", two, three)
	}
}

// A client that waits when a split begins has the place that its cookie names.
func TestSplit_WhoWaitsAtTheGateKeepsItsPlace(t *testing.T) {
	old, fresh := backend(t, "old", 1, says("old")), backend(t, "fresh", 2, says("fresh"))
	r := newRig(t, steady.HTTP, proxy.Limits{}, old)
	s := &steady.Split{Release: 2, Percent: 50, Cookie: "place"}
	r.share(steady.HTTP, s, old, fresh)
	for range 4 {
		c := r.dial()
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		first := c.response()
		was, err := io.ReadAll(first.Body)
		if err != nil || len(first.Cookies()) != 1 {
			t.Fatalf("%v, cookies %v", err, first.Cookies())
		}
		r.holds(steady.HTTP, gateFor(1, time.Minute))
		c.send(fmt.Sprintf("GET / HTTP/1.1\r\nHost: x\r\nCookie: place=%s\r\n\r\n", first.Cookies()[0].Value))
		r.waiting(1)
		r.share(steady.HTTP, s, old, fresh)
		then := c.response()
		if is, err := io.ReadAll(then.Body); err != nil || string(is) != string(was) || len(then.Cookies()) != 0 {
			t.Errorf("was %q, is %q with cookies %v, %v", was, is, then.Cookies(), err)
		}
	}
}
