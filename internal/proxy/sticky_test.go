package proxy_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// stick serves the upstreams with stickiness.
func (r *rig) stick(s *steady.Sticky, us ...steady.Upstream) {
	r.t.Helper()
	t := r.table(steady.Auto, us...)
	t.Pools[0].Sticky = s
	if err := r.client.Serve(r.t.Context(), t); err != nil {
		r.t.Fatal(err)
	}
}

func TestSticky_AClientStaysAtItsUpstreamWhileThatIsRouted(t *testing.T) {
	us := []steady.Upstream{backend(t, "a", 1, says("a")), backend(t, "b", 1, says("b")), backend(t, "c", 1, says("c"))}
	r := newRig(t, steady.Auto, proxy.Limits{}, us...)
	r.stick(&steady.Sticky{Cookie: "steady", TTL: time.Hour}, us...)
	at := map[string]int{}
	for range 12 {
		jar, _ := cookiejar.New(nil)
		c := r.http()
		c.Jar = jar
		_, first := ask(t, c, r.url("/"))
		at[first]++
		for range 5 {
			res, got := ask(t, c, r.url("/deep/down"))
			if got != first || len(res.Cookies()) != 0 {
				t.Fatalf("was at %s, now at %s, cookies %v", first, got, res.Cookies())
			}
		}
	}
	if len(at) != 3 {
		t.Errorf("clients stand at %v", at)
	}
}

func TestSticky_WhereItsUpstreamIsGoneTheClientGetsAnother(t *testing.T) {
	a, b := backend(t, "a", 1, says("a")), backend(t, "b", 2, says("b"))
	r := newRig(t, steady.Auto, proxy.Limits{}, a)
	r.stick(&steady.Sticky{Cookie: "at"}, a)
	jar, _ := cookiejar.New(nil)
	c := r.http()
	c.Jar = jar
	ask(t, c, r.url("/"))
	r.stick(&steady.Sticky{Cookie: "at"}, b)
	if res, got := ask(t, c, r.url("/")); got != "b" || len(res.Cookies()) != 1 {
		t.Errorf("%s, cookies %v", got, res.Cookies())
	}
	if res, got := ask(t, c, r.url("/")); got != "b" || len(res.Cookies()) != 0 {
		t.Errorf("%s, cookies %v", got, res.Cookies())
	}
	dead := upstreamAt("dead", 3, deadAddr(t))
	r.stick(&steady.Sticky{Cookie: "at"}, dead, b)
	u, _ := url.Parse(r.url("/"))
	jar.SetCookies(u, []*http.Cookie{{Name: "at", Value: steady.StickyToken(dead.ID)}})
	if res, got := ask(t, c, r.url("/")); got != "b" || len(res.Cookies()) != 1 {
		t.Errorf("the one named is dead: %s, cookies %v", got, res.Cookies())
	}
}

func TestSticky_TheCookieTellsNothingAndIsKeptFromScripts(t *testing.T) {
	app := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "own=1")
		io.WriteString(w, "a")
	}))
	r := newRig(t, steady.Auto, proxy.Limits{}, app)
	if res, _ := ask(t, r.http(), r.url("/")); len(res.Header["Set-Cookie"]) != 1 {
		t.Errorf("without stickiness: %q", res.Header["Set-Cookie"])
	}
	r.stick(&steady.Sticky{Cookie: "at", TTL: 90 * time.Minute}, app)
	for proto, secure := range map[string]bool{"": false, "http": false, "https": true} {
		res, _ := ask(t, r.http(), r.url("/"), "X-Forwarded-Proto", proto)
		want := "at=" + steady.StickyToken(app.ID) + "; Path=/; Max-Age=5400; HttpOnly"
		if secure {
			want += "; Secure"
		}
		want += "; SameSite=Lax"
		if got := res.Header["Set-Cookie"]; len(got) != 2 || got[0] != "own=1" || got[1] != want {
			t.Errorf("proto %q: %q, want %q", proto, got, want)
		}
		if strings.Contains(want, app.ID) {
			t.Error("it tells the container's id")
		}
	}
}

func TestSticky_AWebSocketIsKeptToo(t *testing.T) {
	var ended atomic.Int64
	app := backend(t, "a", 1, wsApp(&ended))
	r := newRig(t, steady.Auto, proxy.Limits{}, app)
	r.stick(&steady.Sticky{Cookie: "at"}, app)
	c, res, err := websocket.Dial(t.Context(), "ws://"+r.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if got := res.Cookies(); len(got) != 1 || got[0].Value != steady.StickyToken(app.ID) {
		t.Errorf("cookies %v", got)
	}
}

// Two services of one host, by path, whose cookie has the same name.
func TestSticky_ServicesOfOneHostDoNotForgetEachOthersClients(t *testing.T) {
	h := newHosts(t)
	for i, name := range []string{"api", "v2"} {
		h.pools[i].Sticky = &steady.Sticky{Cookie: steady.DefaultStickyCookie}
		h.pools[i].Upstreams = []steady.Upstream{backend(t, name+"1", 1, says(name+"1")), backend(t, name+"2", 1, says(name+"2")), backend(t, name+"3", 1, says(name+"3"))}
	}
	h.force(h.listener(to("*", "/", "api"), to("*", "/v2", "v2")))
	for range 4 {
		c := h.http()
		c.Jar, _ = cookiejar.New(nil)
		first := map[string]string{}
		for i := range 6 {
			for _, path := range []string{"/", "/v2"} {
				res, got := ask(t, c, h.url(path))
				if i == 0 {
					first[path] = got
				} else if got != first[path] || len(res.Cookies()) > 0 {
					t.Fatalf("%s was at %s, now at %s, cookies %v", path, first[path], got, res.Cookies())
				}
			}
		}
	}
}
