package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
	"gesalpai.ch/steady/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine is containers by name, as far as a router asks.
type engine map[string]steady.Replica

func (e engine) Replica(_ context.Context, name string) (steady.Replica, error) {
	c, ok := e[name]
	if !ok {
		return c, steady.ErrNoReplica
	}
	return c, nil
}

func (e engine) runs(name string, release int) {
	e[name] = steady.Replica{ID: "id-" + name, Name: name, Release: release, State: steady.StateRunning,
		Addresses: map[string]string{"default": fmt.Sprintf("127.0.0.%d", len(e)+2)}}
}

// rig is a router on a real store and a real proxy.
type rig struct {
	*router
	engine engine
	store  *store.Store
	client *proxy.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(filepath.Join(dir, "steady.db"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Options{Socket: filepath.Join(dir, "p.sock"), TableFile: filepath.Join(dir, "table.json")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); _ = st.Close() })
	r := &rig{engine: engine{}, store: st, client: proxy.NewClient(filepath.Join(dir, "p.sock"))}
	late := time.After(5 * time.Second)
	for _, err := r.client.Ping(t.Context()); err != nil; _, err = r.client.Ping(t.Context()) {
		select {
		case <-late:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	r.boot()
	return r
}

// boot makes the router anew, as a daemon that starts does.
func (r *rig) boot() {
	r.router = newRouter(r.store, r.engine, r.client, slog.New(slog.DiscardHandler))
}

// upstreamsOf lists who is behind a service's port in the table in force.
func (r *rig) upstreamsOf(t *testing.T, pool string) []string {
	t.Helper()
	table, err := r.client.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range table.Pools {
		if p.Name == pool {
			for _, u := range p.Upstreams {
				out = append(out, u.Name)
			}
		}
	}
	return out
}

func (r *rig) route(t *testing.T, project, service string, release int, port uint16, names ...string) steady.Route {
	t.Helper()
	route := steady.Route{Project: project, Service: service, Release: release, Replicas: names,
		Ports: []steady.Port{{HostIP: "127.0.0.1", Published: port, Target: 8000, Transport: "tcp", Protocol: steady.HTTP}}}
	if err := r.Route(t.Context(), []steady.Route{route}); err != nil {
		t.Fatalf("route %s/%s: %v", project, service, err)
	}
	return route
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestRouter_AShiftRightAfterTheDaemonsStartLeavesOthersTheirUpstreams(t *testing.T) {
	r := newRig(t)
	for _, n := range []string{"web-1", "api-1", "api-2"} {
		r.engine.runs(n, 1)
	}
	r.route(t, "blog", "web", 1, freePort(t), "web-1")
	port := freePort(t)
	r.route(t, "shop", "api", 1, port, "api-1")
	r.boot()
	r.route(t, "shop", "api", 2, port, "api-2")
	if got := r.upstreamsOf(t, "blog/web:8000"); len(got) != 1 {
		t.Errorf("upstreams of blog/web after another project's shift: %v", got)
	}
}

func TestRouter_GoesBackToWhatIsLeftOfTheOldReplicas(t *testing.T) {
	r := newRig(t)
	for _, n := range []string{"api-1", "api-2", "api-3"} {
		r.engine.runs(n, 1)
	}
	port := freePort(t)
	r.route(t, "shop", "api", 1, port, "api-1", "api-2")
	r.route(t, "shop", "api", 2, port, "api-3")
	delete(r.engine, "api-2")
	r.route(t, "shop", "api", 1, port, "api-1", "api-2")
	if got := r.upstreamsOf(t, "shop/api:8000"); len(got) != 1 || got[0] != "api-1" {
		t.Errorf("upstreams %v", got)
	}
	delete(r.engine, "api-1")
	none := steady.Route{Project: "shop", Service: "api", Release: 3, Replicas: []string{"api-1"}, Ports: []steady.Port{{HostIP: "127.0.0.1", Published: port, Target: 8000, Protocol: steady.HTTP}}}
	if err := r.Route(t.Context(), []steady.Route{none}); err == nil {
		t.Error("routed to nobody")
	}
}

func TestRouter_WritesNothingWhereNothingChanges(t *testing.T) {
	r := newRig(t)
	r.engine.runs("api-1", 1)
	port := freePort(t)
	r.route(t, "shop", "api", 1, port, "api-1")
	before, _ := r.client.Table(t.Context())
	if err := r.store.Close(); err != nil { // reading it would fail as well
		t.Fatal(err)
	}
	if err := r.serveIfNew(t.Context(), []steady.Route{{Project: "shop", Service: "api", Release: 1, Replicas: []string{"api-1"},
		Ports: []steady.Port{{HostIP: "127.0.0.1", Published: port, Target: 8000, Transport: "tcp", Protocol: steady.HTTP}}}}); err != nil {
		t.Errorf("a refresh that changes nothing wrote to the store: %v", err)
	}
	if after, _ := r.client.Table(t.Context()); after.Version != before.Version {
		t.Errorf("table %d, was %d", after.Version, before.Version)
	}
}

func TestRouter_APortOfAnotherProjectIsTaken(t *testing.T) {
	r := newRig(t)
	r.engine.runs("web-1", 1)
	port := freePort(t)
	mine := r.route(t, "blog", "web", 1, port, "web-1")
	if err := r.Free(t.Context(), []steady.Route{mine}); err != nil {
		t.Errorf("one's own port: %v", err)
	}
	other := mine
	other.Project = "shop"
	if err := r.Free(t.Context(), []steady.Route{other}); !errors.Is(err, steady.ErrPortTaken) {
		t.Errorf("another project's port: %v", err)
	}
}
