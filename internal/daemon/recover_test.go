package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/store"
)

// Observe and the rest of what a recovery asks of the Engine.
func (e *engine) Observe(_ context.Context, project string, _ []string) (steady.Observed, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := steady.Observed{Project: project}
	for _, c := range e.replicas {
		if c.Service != "" {
			out.Replicas = append(out.Replicas, c)
		}
	}
	slices.SortFunc(out.Replicas, func(a, b steady.Replica) int { return a.Release - b.Release })
	return out, e.fails
}

func (e *engine) Recovered(ctx context.Context, name string) (steady.Release, error) {
	c, err := e.Replica(ctx, name)
	return steady.Release{Project: "shop", Service: c.Service, Number: c.Release, Spec: steady.Spec{Project: "shop", Service: c.Service, Image: "api"}}, err
}

func (e *engine) Start(_ context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.replicas[name]
	c.State = steady.StateRunning
	e.replicas[name] = c
	return nil
}

// of makes a container one of a service.
func (e *engine) of(service, name string, release int, state string) steady.Replica {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := steady.Replica{ID: "id-" + name, Name: name, Service: service, Release: release, Rollout: int64(release) + 10, State: state, HostNet: true, Started: time.Unix(1, 0)}
	e.replicas[name] = c
	return c
}

// lose gives the plane an empty store, as a daemon has that starts without one.
func (p *plane) lose(t *testing.T) {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "steady.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	p.store = st
	p.boot()
	p.lost = &recovery{store: st, engine: p.engine, log: p.router.log}
}

func TestRecovery_WhatTheProxyServesGoesOn(t *testing.T) {
	p := newPlane(t)
	p.engine.of("api", "shop-api-7-1", 7, steady.StateRunning)
	p.engine.of("api", "shop-api-6-1", 6, steady.StateRunning)
	before := p.put(t, "shop", "api", 7, p.port, "shop-api-7-1")
	table, _ := p.proxy.Table(t.Context())
	p.lose(t)
	if _, err := p.router.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	routes, err := p.store.Routes(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]steady.Route{before}, routes); d != "" {
		t.Errorf("routes (-before the loss +after):\n%s", d)
	}
	after, _ := p.proxy.Table(t.Context())
	if d := cmp.Diff(table, after); d != "" {
		t.Errorf("table (-before the loss +after):\n%s", d)
	}
	if all, err := p.store.Rollouts(t.Context(), "shop", 0); err != nil || len(all) != 1 || all[0].ID != 18 {
		t.Errorf("rollouts %+v, %v: want one, above the 17 of the labels", all, err)
	}
}

func TestRecovery_ClosesNothingWhileTheEngineIsAway(t *testing.T) {
	p := newPlane(t)
	p.engine.of("api", "shop-api-7-1", 7, steady.StateRunning)
	p.put(t, "shop", "api", 7, p.port, "shop-api-7-1")
	table, _ := p.proxy.Table(t.Context())
	p.lose(t)
	p.engine.mu.Lock()
	p.engine.fails = errors.New("no Engine")
	p.engine.mu.Unlock()
	if _, err := p.router.refresh(t.Context()); err == nil {
		t.Error("it was refreshed from nothing")
	}
	if after, _ := p.proxy.Table(t.Context()); !cmp.Equal(table, after) {
		t.Errorf("table %+v, was %+v", after, table)
	}
	p.engine.mu.Lock()
	p.engine.fails = nil
	p.engine.mu.Unlock()
	if err := p.recovered(t.Context()); err != nil {
		t.Error(err)
	}
	if serving, err := p.store.Serving(t.Context(), "shop"); err != nil || serving["api"].Number != 7 {
		t.Errorf("serving %v, %v", serving, err)
	}
}

func TestRecovery_AnOlderCopyOfTheStoreCatchesUp(t *testing.T) {
	p := newPlane(t)
	p.engine.of("api", "shop-api-7-1", 7, steady.StateRunning)
	p.put(t, "shop", "api", 7, p.port, "shop-api-7-1")
	p.lose(t)
	old := steady.Rollout{Project: "shop", Kind: steady.KindDeploy, State: steady.RolloutDone}
	made := []steady.Release{{Spec: steady.Spec{Project: "shop", Service: "api"}}}
	if err := p.store.Accept(t.Context(), &old, made); err != nil {
		t.Fatal(err)
	}
	if err := p.store.PutRoutes(t.Context(), []steady.Route{{Project: "shop", Service: "api", Release: 1, Replicas: []string{"shop-api-1-1"}}}); err != nil {
		t.Fatal(err)
	}
	if err := p.recovered(t.Context()); err != nil {
		t.Fatal(err)
	}
	if serving, err := p.store.Serving(t.Context(), "shop"); err != nil || serving["api"].Number != 7 {
		t.Errorf("serving %v, %v", serving, err)
	}
}

func TestChoose_TheLabelsDecideWhereTheTableListsNobody(t *testing.T) {
	replica := func(n int, state, health string) steady.Replica {
		return steady.Replica{ID: fmt.Sprint(n), Service: "api", Release: n, Rollout: int64(n), State: state, Health: health}
	}
	run, exited := steady.StateRunning, steady.StateExited
	for name, c := range map[string]struct {
		replicas []steady.Replica
		want     int
	}{
		"the newest that is whole":          {[]steady.Replica{replica(1, run, ""), replica(2, run, steady.HealthHealthy)}, 2},
		"not one that is unhealthy":         {[]steady.Replica{replica(1, run, ""), replica(2, run, steady.HealthUnhealthy)}, 1},
		"not one of which a replica is out": {[]steady.Replica{replica(1, run, ""), replica(2, run, ""), replica(2, exited, "")}, 1},
		"not one whose rollout is half done": {[]steady.Replica{replica(1, run, ""), replica(2, run, ""),
			{ID: "other", Service: "web", Release: 2, Rollout: 2, State: steady.StateCreated}}, 1},
		"one that runs rather than none": {[]steady.Replica{replica(1, run, steady.HealthUnhealthy), replica(2, exited, "")}, 1},
		"the newest where none runs":     {[]steady.Replica{replica(1, exited, ""), replica(2, exited, "")}, 2},
		"none where Compose made them":   {[]steady.Replica{replica(0, run, "")}, 0},
		"none where there is no replica": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := &tabled{service: "api"}
			if got := s.choose(steady.Observed{Replicas: c.replicas}); got.release != c.want || got.release > 0 && got.why == "" {
				t.Errorf("chose %d, %q; want %d", got.release, got.why, c.want)
			}
		})
	}
	s := &tabled{service: "api", trial: 2, upstreams: []steady.Upstream{{ID: "1", Release: 1}, {ID: "2", Release: 2}}}
	if got := s.choose(steady.Observed{Replicas: []steady.Replica{replica(1, run, ""), replica(2, run, ""), replica(3, run, "")}}); got.release != 1 {
		t.Errorf("chose %d of a canary's two releases, want the one that is not on trial", got.release)
	}
}

func TestTabled_RoutesAreReadOutOfTheTableThatWasMadeOfThem(t *testing.T) {
	p := newPlane(t)
	p.engine.set("shop-api-7-1", steady.StateRunning, 1)
	p.engine.set("shop-api-6-1", steady.StateRunning, 1)
	p.router.known["shop-api-7-1"], p.router.known["shop-api-6-1"] = p.engine.replicas["shop-api-7-1"], p.engine.replicas["shop-api-6-1"]
	p.router.held["shop/api"] = steady.Holder{Project: "shop", Service: "api", Addresses: map[string]string{"net": "10.9.9.9"}}
	tls := steady.TLS{CA: steady.DefaultCA, Email: "ops@example.ch"}
	want := steady.Route{Project: "shop", Service: "api", Held: true, Sticky: &steady.Sticky{Cookie: "c"}, Ingress: &steady.Ingress{HTTPPorts: []uint16{8000}},
		Ports: []steady.Port{{Published: 80, Target: 8000, Transport: "tcp", Protocol: steady.Auto}, {HostIP: "127.0.0.1", Published: 81, Target: 8001, Transport: "tcp", Protocol: steady.TCP}},
		Rules: []steady.Rule{
			{Host: "a.example.ch", Path: "/", Port: 8000, Protocol: steady.HTTP, HTTP: ":8080", HTTPS: ":443", TLS: tls},
			{Host: "b.example.ch", Path: "/", Port: 8000, Protocol: steady.H2C, HTTP: ":8080"}},
		Elders: []string{"shop-api-6-1"}, Assets: []string{"/static/*"}}
	put := want
	put.Release, put.Replicas, put.Hold = 7, []string{"shop-api-7-1"}, &steady.Hold{}
	got := tabledServices(p.router.table([]steady.Route{put}))
	if len(got) != 1 {
		t.Fatalf("services %v", got)
	}
	order := cmpopts.SortSlices(func(a, b steady.Rule) bool { return a.Host < b.Host })
	if d := cmp.Diff(want, got[0].route, order); d != "" {
		t.Errorf("route (-put +read):\n%s", d)
	}
	if u := got[0].upstreams; len(u) != 1 || u[0].Name != "shop-api-7-1" || u[0].Release != 1 || !got[0].gated {
		t.Errorf("upstreams %v, gated %v", u, got[0].gated)
	}
}
