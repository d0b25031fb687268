package daemon

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"gesalpai.ch/steady"
)

// asset asks the published port for one, on a connection of its own.
func (p *plane) asset(t *testing.T) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://127.0.0.1:" + strconv.Itoa(int(p.port)) + "/static/old.js")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// Both replicas share the host's network, so it is the plane's one server that
// answers: 404 to the first request for an asset, which is that of the release in
// force, and 200 to the second, the elder's.
func TestRouter_EldersAreAskedUntilTheyAreAwayOrTheRouteLeavesThemOut(t *testing.T) {
	p := newPlane(t)
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	p.target = uint16(srv.Listener.Addr().(*net.TCPAddr).Port)
	p.engine.set("shop-api-1-1", steady.StateRunning, 1)
	p.engine.set("shop-api-2-1", steady.StateRunning, 1)
	p.engine.replicas["shop-api-2-1"] = func(c steady.Replica) steady.Replica { c.Release = 2; return c }(p.engine.replicas["shop-api-2-1"])
	lent := p.route("shop-api-2-1")
	lent.Release, lent.Elders, lent.Assets = 2, []string{"shop-api-1-1", "shop-api-0-1"}, []string{"/static/*"}
	plain := lent
	plain.Elders, plain.Assets = nil, nil
	ask := func(what string, want int) {
		t.Helper()
		asked.Store(0)
		if got := p.asset(t); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	shift := func(r steady.Route) {
		t.Helper()
		if err := p.Route(t.Context(), []steady.Route{r}); err != nil {
			t.Fatal(err)
		}
	}
	refresh := func() {
		t.Helper()
		if back, err := p.refresh(t.Context()); err != nil || len(back) > 0 {
			t.Fatal(back, err)
		}
	}
	shift(lent)
	ask("lent", http.StatusOK)
	refresh()
	ask("seen again", http.StatusOK)
	p.engine.set("shop-api-1-1", steady.StateExited, 1)
	refresh()
	ask("dead", http.StatusNotFound)
	p.engine.set("shop-api-1-1", steady.StateRunning, 2)
	refresh()
	ask("started again", http.StatusNotFound)
	shift(plain)
	ask("left out", http.StatusNotFound)
	shift(p.route("shop-api-1-1")) // back: what was away as an elder takes traffic
	asked.Store(1)
	if got := p.asset(t); got != http.StatusOK {
		t.Errorf("as a replica in force: %d", got)
	}
}

func TestRouter_EldersAreSeenAgainByTheNextDaemon(t *testing.T) {
	p := newPlane(t)
	p.engine.set("shop-api-1-1", steady.StateRunning, 1)
	p.engine.set("shop-api-2-1", steady.StateRunning, 1)
	lent := p.route("shop-api-2-1")
	lent.Elders, lent.Assets = []string{"shop-api-1-1"}, []string{"/static/*"}
	if err := p.Route(t.Context(), []steady.Route{lent}); err != nil {
		t.Fatal(err)
	}
	before, err := p.proxy.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := &plane{router: newRouter(p.store, p.engine, p.keeper, p.log)}
	if _, err := next.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	now, err := next.proxy.Table(t.Context())
	if err != nil || len(now.Pools) != 1 || len(now.Pools[0].Elders) != 1 || now.Pools[0].Elders[0].Name != "shop-api-1-1" || now.Version != before.Version {
		t.Errorf("%+v, %v", now, err)
	}
}
