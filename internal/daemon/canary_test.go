package daemon

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"gesalpai.ch/steady"
)

// on is a replica of a release with an address in one network.
func on(name string, release int, address string) steady.Replica {
	return steady.Replica{ID: "id-" + name, Name: name, Release: release, State: steady.StateRunning, Addresses: map[string]string{"shop_default": address}}
}

func TestCanary_TheSplitIsServedStoredAndServedAgain(t *testing.T) {
	p := newPlane(t)
	p.engine.set("api-1", steady.StateRunning, 1)
	p.engine.set("api-2", steady.StateRunning, 1)
	route := p.put(t, "shop", "api", 1, p.port, "api-1", "api-2")
	splits := func() []*steady.Split {
		t.Helper()
		table, err := p.proxy.Table(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out []*steady.Split
		for _, q := range table.Pools {
			out = append(out, q.Split)
		}
		return out
	}
	for _, percent := range []float64{5, 25, 25} { // the replicas are the same, and the same share is no news
		route.Split = &steady.Split{Release: 2, Percent: percent, Header: "X-Canary", Cookie: "at"}
		if err := p.Route(t.Context(), []steady.Route{route}); err != nil {
			t.Fatal(err)
		}
		if got := splits(); len(got) != 1 || got[0] == nil || *got[0] != *route.Split {
			t.Errorf("in force %+v", got)
		}
	}
	p.boot()
	if _, err := p.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := splits(); len(got) != 1 || got[0] == nil || *got[0] != *route.Split {
		t.Errorf("after a restart %+v", got)
	}
	serving, err := p.Routes(t.Context(), "shop")
	if err != nil || serving[0].Release != 1 {
		t.Errorf("serving %+v, %v: the old release serves until all goes to the new one", serving, err)
	}
	route.Split = nil
	if err := p.Route(t.Context(), []steady.Route{route}); err != nil || splits()[0] != nil {
		t.Errorf("%v, in force %+v", err, splits()[0])
	}
}

func TestCanary_CallsFromWithinAreSharedWithoutTheCookie(t *testing.T) {
	r := &router{held: map[string]steady.Holder{"shop/api": {Project: "shop", Service: "api", Addresses: map[string]string{"shop_default": "10.9.0.2"}}},
		known: map[string]steady.Replica{"api-1": on("api-1", 1, "10.9.0.3"), "api-2": on("api-2", 2, "10.9.0.4")}, away: map[string]bool{}}
	route := steady.Route{Project: "shop", Service: "api", Release: 1, Held: true, Replicas: []string{"api-1", "api-2"},
		Split: &steady.Split{Release: 2, Percent: 25, Header: "X-Canary", Cookie: "at"}}
	_, pools, ok := r.inner(route)
	if !ok || len(pools) != 1 || len(pools[0].Upstreams) != 2 {
		t.Fatalf("pools %+v", pools)
	}
	if want := (steady.Split{Release: 2, Percent: 25, Header: "X-Canary"}); *pools[0].Split != want || route.Split.Cookie != "at" {
		t.Errorf("split %+v, the route's %+v", pools[0].Split, route.Split)
	}
	if got := slices.Concat(slices.Collect(maps.Values(r.flowsOf(route, r.held["shop/api"])))...); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("10.9.0.3")}) {
		t.Errorf("udp goes to %v", got)
	}
	route.Split = nil
	_, pools, _ = r.inner(route)
	if got := r.flowsOf(route, r.held["shop/api"]); pools[0].Split != nil || len(got[netip.MustParseAddr("10.9.0.2")]) != 2 {
		t.Errorf("without a split: %+v, udp %v", pools[0].Split, got)
	}
}
