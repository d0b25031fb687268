package daemon

import (
	"errors"
	"net/http"
	"testing"

	"gesalpai.ch/steady"
)

// boot makes the router anew, as a daemon that starts does.
func (p *plane) boot() { p.router = newRouter(p.store, p.engine, p.router.keeper, p.router.log) }

// upstreamsOf lists who is behind a service's port in the table in force.
func (p *plane) upstreamsOf(t *testing.T, pool string) []string {
	t.Helper()
	table, err := p.proxy.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, q := range table.Pools {
		if q.Name == pool {
			for _, u := range q.Upstreams {
				out = append(out, u.Name)
			}
		}
	}
	return out
}

// put routes a service that publishes one port.
func (p *plane) put(t *testing.T, project, service string, release int, port uint16, names ...string) steady.Route {
	t.Helper()
	route := steady.Route{Project: project, Service: service, Release: release, Replicas: names,
		Ports: []steady.Port{{HostIP: "127.0.0.1", Published: port, Target: 8000, Transport: "tcp", Protocol: steady.HTTP}}}
	if err := p.Route(t.Context(), []steady.Route{route}); err != nil {
		t.Fatalf("route %s/%s: %v", project, service, err)
	}
	return route
}

func TestRouter_AShiftRightAfterTheDaemonsStartLeavesOthersTheirUpstreams(t *testing.T) {
	p := newPlane(t)
	for _, n := range []string{"web-1", "api-1", "api-2"} {
		p.engine.set(n, steady.StateRunning, 1)
	}
	p.put(t, "blog", "web", 1, freePort(t), "web-1")
	port := freePort(t)
	p.put(t, "shop", "api", 1, port, "api-1")
	p.boot()
	p.put(t, "shop", "api", 2, port, "api-2")
	if got := p.upstreamsOf(t, "blog/web:8000"); len(got) != 1 {
		t.Errorf("upstreams of blog/web after another project's shift: %v", got)
	}
}

func TestRouter_GoesBackToWhatIsLeftOfTheOldReplicas(t *testing.T) {
	p := newPlane(t)
	for _, n := range []string{"api-1", "api-2", "api-3"} {
		p.engine.set(n, steady.StateRunning, 1)
	}
	port := freePort(t)
	p.put(t, "shop", "api", 1, port, "api-1", "api-2")
	p.put(t, "shop", "api", 2, port, "api-3")
	p.engine.gone("api-2")
	p.put(t, "shop", "api", 1, port, "api-1", "api-2")
	if got := p.upstreamsOf(t, "shop/api:8000"); len(got) != 1 || got[0] != "api-1" {
		t.Errorf("upstreams %v", got)
	}
	p.engine.gone("api-1")
	none := steady.Route{Project: "shop", Service: "api", Release: 3, Replicas: []string{"api-1"}, Ports: []steady.Port{{HostIP: "127.0.0.1", Published: port, Target: 8000, Protocol: steady.HTTP}}}
	if err := p.Route(t.Context(), []steady.Route{none}); err == nil {
		t.Error("routed to nobody")
	}
}

func TestRouter_WritesNothingWhereNothingChanges(t *testing.T) {
	p := newPlane(t)
	p.engine.set("api-1", steady.StateRunning, 1)
	port := freePort(t)
	p.put(t, "shop", "api", 1, port, "api-1")
	before, _ := p.proxy.Table(t.Context())
	if err := p.store.Close(); err != nil { // reading it would fail as well
		t.Fatal(err)
	}
	if err := p.serveIfNew(t.Context(), []steady.Route{{Project: "shop", Service: "api", Release: 1, Replicas: []string{"api-1"},
		Ports: []steady.Port{{HostIP: "127.0.0.1", Published: port, Target: 8000, Transport: "tcp", Protocol: steady.HTTP}}}}, p.proxy.Mend); err != nil {
		t.Errorf("a refresh that changes nothing wrote to the store: %v", err)
	}
	if after, _ := p.proxy.Table(t.Context()); after.Version != before.Version {
		t.Errorf("table %d, was %d", after.Version, before.Version)
	}
}

func TestRouter_ReplicasAreFollowedWithoutTheStore(t *testing.T) {
	p := newPlane(t)
	p.engine.set("api-1", steady.StateRunning, 1)
	if err := p.Route(t.Context(), []steady.Route{p.route("api-1")}); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	p.engine.set("api-1", steady.StateExited, 1)
	if _, err := p.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.status(t); got != http.StatusServiceUnavailable {
		t.Errorf("status %d with its only replica dead", got)
	}
	p.engine.set("api-1", steady.StateRunning, 2)
	back, err := p.refresh(t.Context())
	if err != nil || len(back) != 1 {
		t.Fatalf("%d are back: %v", len(back), err)
	}
	if err := p.returned(t.Context(), "api-1"); err != nil {
		t.Fatal(err)
	}
	if got := p.status(t); got != http.StatusOK {
		t.Errorf("status %d with its replica back", got)
	}
}

func TestRouter_APortOfAnotherProjectIsTaken(t *testing.T) {
	p := newPlane(t)
	p.engine.set("web-1", steady.StateRunning, 1)
	port := freePort(t)
	mine := p.put(t, "blog", "web", 1, port, "web-1")
	if err := p.Free(t.Context(), []steady.Route{mine}); err != nil {
		t.Errorf("one's own port: %v", err)
	}
	other := mine
	other.Project = "shop"
	if err := p.Free(t.Context(), []steady.Route{other}); !errors.Is(err, steady.ErrPortTaken) {
		t.Errorf("another project's port: %v", err)
	}
}
