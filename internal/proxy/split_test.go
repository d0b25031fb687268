package proxy_test

import (
	"io"
	"math"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// share serves the upstreams with a split.
func (r *rig) share(protocol string, s *steady.Split, us ...steady.Upstream) {
	r.t.Helper()
	t := r.table(protocol, us...)
	t.Pools[0].Split = s
	if err := r.client.Serve(r.t.Context(), t); err != nil {
		r.t.Fatal(err)
	}
}

// kept is a client that keeps its connections: many requests are soon asked.
func kept(t *testing.T) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func answer(t *testing.T, c *http.Client, req *http.Request) string {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// within2 wants the share to be within two points of percent.
func within2(t *testing.T, what string, got, of int, percent float64) {
	t.Helper()
	if share := 100 * float64(got) / float64(of); math.Abs(share-percent) > 2 {
		t.Errorf("%s: %d of %d, %.2f %%, want %g", what, got, of, share, percent)
	}
}

func TestSplit_SharesFollowTheWeights(t *testing.T) {
	old1, old2, fresh := backend(t, "old1", 1, says("old1")), backend(t, "old2", 1, says("old2")), backend(t, "new", 2, says("new"))
	for cookie, each := range map[string]int{"": 1500, "at": 300} { // of seven weights: 10,500 without a cookie
		r := newRig(t, steady.Auto, proxy.Limits{}, old1, old2)
		c := kept(t)
		total := 0
		for _, percent := range []float64{0, 0.5, 5, 25, 33.33, 50, 100} {
			r.share(steady.Auto, &steady.Split{Release: 2, Percent: percent, Cookie: cookie}, old1, old2, fresh)
			var mu sync.Mutex
			got := map[string]int{}
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					for range each / 3 {
						req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url("/"), nil)
						a := answer(t, c, req)
						mu.Lock()
						got[a]++
						mu.Unlock()
					}
				})
			}
			all.Wait()
			total += each
			within2(t, "by weight", got["new"], each, percent)
			if percent == 0 && got["new"] > 0 || percent == 100 && got["new"] != each {
				t.Errorf("%g %%: %v", percent, got)
			}
			if n := got["old1"] + got["old2"]; n > 30 && (got["old1"] < n/4 || got["old2"] < n/4) {
				t.Errorf("the old replicas do not take turns: %v", got)
			}
		}
		if now := r.counts(1).Requests + r.counts(2).Requests; now != int64(total) || r.counts(2).Requests == 0 {
			t.Errorf("counted %d, asked %d", now, total)
		}
	}
}

// Few requests are shared as evenly as many.
func TestSplit_IsSmooth(t *testing.T) {
	old, fresh := backend(t, "old", 1, says("old")), backend(t, "new", 2, says("new"))
	r := newRig(t, steady.Auto, proxy.Limits{}, old)
	c := kept(t)
	for _, percent := range []float64{5, 25, 50} {
		r.share(steady.Auto, &steady.Split{Release: 2, Percent: percent}, old, fresh)
		got := 0
		for n := 1; n <= 200; n++ {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url("/"), nil)
			if answer(t, c, req) == "new" {
				got++
			}
			if want := percent / 100 * float64(n); math.Abs(float64(got)-want) > 3 {
				t.Fatalf("%g %%: %d of the first %d", percent, got, n)
			}
		}
	}
}

func TestSplit_AClientMovesAtMostOnceAndNeverBack(t *testing.T) {
	old1, old2 := backend(t, "old1", 1, says("old")), backend(t, "old2", 1, says("old"))
	fresh := backend(t, "new", 2, says("new"))
	r := newRig(t, steady.Auto, proxy.Limits{}, old1, old2)
	const clients = 400
	c := kept(t)
	jars := make([]http.CookieJar, clients)
	at := make([]string, clients)
	for i := range jars {
		jars[i], _ = cookiejar.New(nil)
		at[i] = "old"
	}
	u, _ := url.Parse(r.url("/"))
	for _, percent := range []float64{5, 25, 25, 50, 80} {
		r.share(steady.Auto, &steady.Split{Release: 2, Percent: percent, Cookie: "canary"}, old1, old2, fresh)
		on := 0
		for i := range clients {
			client := &http.Client{Transport: c.Transport, Jar: jars[i]}
			before := len(jars[i].Cookies(u))
			var first string
			for ask := range 3 {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url("/"), nil)
				got := answer(t, client, req)
				if ask == 0 {
					first = got
				}
				if got != first {
					t.Fatalf("client %d at %g %%: %s, then %s", i, percent, first, got)
				}
			}
			if before == 1 && at[i] == "new" && first == "old" {
				t.Fatalf("client %d went back to the old release at %g %%", i, percent)
			}
			if at[i] = first; first == "new" {
				on++
			}
		}
		within2(t, "returning clients", on, clients, percent)
	}
}

func TestSplit_AtTheNextReleaseOthersAreFirst(t *testing.T) {
	old, fresh := backend(t, "old", 1, says("old")), backend(t, "new", 2, says("new"))
	r := newRig(t, steady.Auto, proxy.Limits{}, old)
	ask := func(release int, cookie string) string {
		fresh.Release = release
		r.share(steady.Auto, &steady.Split{Release: release, Percent: 10, Cookie: "at"}, old, fresh)
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url("/"), nil)
		req.AddCookie(&http.Cookie{Name: "at", Value: cookie})
		return answer(t, r.http(), req)
	}
	for _, cookie := range []string{"0100", "2500", "9000"} {
		on := 0
		for release := 2; release < 42; release++ {
			if ask(release, cookie) == "new" {
				on++
			}
		}
		if on < 2 || on > 8 {
			t.Errorf("cookie %s was on trial in %d of 40 releases at 10 %%", cookie, on)
		}
	}
}

func TestSplit_TheCookieIsANumberAndNothingElse(t *testing.T) {
	old, fresh := backend(t, "old", 1, says("old")), backend(t, "new", 2, says("new"))
	r := newRig(t, steady.Auto, proxy.Limits{}, old)
	if res, _ := ask(t, r.http(), r.url("/")); len(res.Cookies()) != 0 {
		t.Errorf("without a split: %v", res.Cookies())
	}
	r.share(steady.Auto, &steady.Split{Release: 2, Percent: 50, Cookie: "at", Header: "X-Canary"}, old, fresh)
	for name, value := range map[string]string{"none": "", "words": "new", "long": "00001", "signed": "-001", "spaced": " 001", "wide": "٠٠٠١"} {
		res, _ := ask(t, r.http(), r.url("/"), "Cookie", "at="+value, "X-Forwarded-Proto", "https")
		cs := res.Cookies()
		if len(cs) != 1 || len(cs[0].Value) != 4 || !cs[0].HttpOnly || !cs[0].Secure || cs[0].SameSite != http.SameSiteLaxMode || cs[0].MaxAge != 0 || cs[0].Path != "/" {
			t.Errorf("%s: %v", name, cs)
		}
	}
	if res, _ := ask(t, r.http(), r.url("/"), "Cookie", "at=9999"); len(res.Cookies()) != 0 {
		t.Errorf("who knows its place was told it again: %v", res.Cookies())
	}
	if res, _ := ask(t, r.http(), r.url("/"), "X-Canary", "always"); len(res.Cookies()) != 0 {
		t.Errorf("who asked for a release was given a place: %v", res.Cookies())
	}
}

func TestSplit_AWebSocketIsToldItsPlaceToo(t *testing.T) {
	var ended atomic.Int64
	app := backend(t, "a", 1, wsApp(&ended))
	r := newRig(t, steady.Auto, proxy.Limits{}, app)
	r.share(steady.Auto, &steady.Split{Release: 2, Percent: 50, Cookie: "canary"}, app)
	c, res, err := websocket.Dial(t.Context(), "ws://"+r.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if got := res.Cookies(); len(got) != 1 || got[0].Name != "canary" || len(got[0].Value) != 4 {
		t.Errorf("cookies %v", got)
	}
}

func TestSplit_TheHeaderDecides(t *testing.T) {
	old, fresh := backend(t, "old", 1, says("old")), backend(t, "new", 2, says("new"))
	r := newRig(t, steady.Auto, proxy.Limits{}, old)
	for _, percent := range []float64{0, 50, 100} {
		r.share(steady.Auto, &steady.Split{Release: 2, Percent: percent, Header: "X-Canary", Cookie: "at"}, old, fresh)
		for value, want := range map[string]string{"always": "new", "Always": "new", "never": "old"} {
			for range 20 {
				for _, cookie := range []string{"", "at=0000", "at=9999"} {
					if _, got := ask(t, r.http(), r.url("/"), "X-Canary", value, "Cookie", cookie); got != want {
						t.Fatalf("%s at %g %%: %s", value, percent, got)
					}
				}
			}
		}
	}
	r.share(steady.Auto, &steady.Split{Release: 2, Percent: 0}, old, fresh)
	if _, got := ask(t, r.http(), r.url("/"), "X-Canary", "always"); got != "old" {
		t.Error("a header that nobody named decided")
	}
}

func TestSplit_WithinItsReleaseAClientStaysAtItsReplica(t *testing.T) {
	us := []steady.Upstream{backend(t, "old1", 1, says("old1")), backend(t, "old2", 1, says("old2")), backend(t, "new1", 2, says("new1")), backend(t, "new2", 2, says("new2"))}
	r := newRig(t, steady.Auto, proxy.Limits{}, us...)
	serve := func(percent float64) {
		tb := r.table(steady.Auto, us...)
		tb.Pools[0].Split, tb.Pools[0].Sticky = &steady.Split{Release: 2, Percent: percent, Cookie: "canary"}, &steady.Sticky{Cookie: "at"}
		if err := r.client.Serve(t.Context(), tb); err != nil {
			t.Fatal(err)
		}
	}
	serve(25)
	seen := map[string]int{}
	var all []*http.Client
	var at []string
	for range 40 {
		c := r.http()
		c.Jar, _ = cookiejar.New(nil)
		_, first := ask(t, c, r.url("/"))
		for range 3 {
			if _, got := ask(t, c, r.url("/")); got != first {
				t.Fatalf("%s, then %s", first, got)
			}
		}
		seen[first]++
		all, at = append(all, c), append(at, first)
	}
	if len(seen) != 4 || max(seen["new1"]+seen["new2"]-10, 10-seen["new1"]-seen["new2"]) > 1 {
		t.Errorf("clients at 25 %%: %v", seen)
	}
	serve(50)
	on := 0
	for i, c := range all {
		_, got := ask(t, c, r.url("/"))
		if got[:3] == "new" {
			on++
		}
		if got != at[i] && (at[i][:3] == "new" || got[:3] == "old") {
			t.Errorf("was at %s, now at %s", at[i], got)
		}
	}
	if on < 19 || on > 21 {
		t.Errorf("%d of 40 clients that a replica of the old release had kept are at the new one, at 50 %%", on)
	}
}

func TestSplit_WhereItsReleaseCannotBeReachedTheOtherAnswers(t *testing.T) {
	old := backend(t, "old", 1, says("old"))
	dead := upstreamAt("dead", 2, deadAddr(t))
	r := newRig(t, steady.Auto, proxy.Limits{}, old)
	r.share(steady.Auto, &steady.Split{Release: 2, Percent: 50, Cookie: "at", Header: "X-Canary"}, old, dead)
	for range 40 {
		if res, got := ask(t, r.http(), r.url("/")); got != "old" {
			t.Fatalf("status %d: %s", res.StatusCode, got)
		}
	}
	live := backend(t, "live", 2, says("live"))
	r.share(steady.Auto, &steady.Split{Release: 2, Percent: 50, Cookie: "at"}, old, dead, live)
	for range 40 {
		if _, got := ask(t, r.http(), r.url("/"), "Cookie", "at="+onTrial); got != "live" {
			t.Fatalf("with a replica of the release left: %s", got)
		}
	}
	r.share(steady.Auto, &steady.Split{Release: 2, Percent: 50, Cookie: "at"}, old)
	if _, got := ask(t, r.http(), r.url("/"), "Cookie", "at="+onTrial); got != "old" {
		t.Errorf("with the release gone: %s", got)
	}
}

// onTrial is a cookie's number whose place at release 2 is among the first.
const onTrial = "7700"

func TestSplit_TCPIsSharedByWeight(t *testing.T) {
	speak := func(s string) func(net.Conn) { return func(c net.Conn) { _, _ = io.WriteString(c, s) } }
	old, fresh := tcpBackend(t, "old", 1, speak("old")), tcpBackend(t, "new", 2, speak("new"))
	r := newRig(t, steady.TCP, proxy.Limits{}, old)
	r.share(steady.TCP, &steady.Split{Release: 2, Percent: 25, Header: "X-Canary", Cookie: "at"}, old, fresh)
	on := 0
	for range 400 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		if string(b) == "new" {
			on++
		}
	}
	within2(t, "connections", on, 400, 25)
}

func TestSplit_ATableThatCannotBeIsRefused(t *testing.T) {
	old := backend(t, "old", 1, says("old"))
	r := newRig(t, steady.Auto, proxy.Limits{}, old)
	for name, s := range map[string]steady.Split{
		"more than all": {Release: 2, Percent: 101}, "less than none": {Release: 2, Percent: -1},
		"no release": {Percent: 5}, "a cookie": {Release: 2, Cookie: "a b"}, "a header": {Release: 2, Header: "x-canary"},
	} {
		tb := r.table(steady.Auto, old)
		tb.Pools[0].Split = &s
		if err := r.client.Serve(t.Context(), tb); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// The table's file has the split: a proxy that starts again shares as before.
func TestSplit_OutlivesTheProxy(t *testing.T) {
	old, fresh := backend(t, "old", 1, says("old")), backend(t, "new", 2, says("new"))
	r := newRig(t, steady.Auto, proxy.Limits{}, old)
	r.share(steady.Auto, &steady.Split{Release: 2, Percent: 50, Header: "X-Canary"}, old, fresh)
	r.stop()
	r.start()
	if _, got := ask(t, r.http(), r.url("/"), "X-Canary", "always"); got != "new" {
		t.Errorf("after a restart: %s", got)
	}
}
