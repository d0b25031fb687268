package daemon

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// backend makes the plane's project known, with releases for its services.
func (p *plane) backend(t *testing.T, services ...string) *backend {
	t.Helper()
	r := steady.Rollout{Project: "shop", Kind: steady.KindDeploy, Services: services, State: steady.RolloutRunning}
	var made []steady.Release
	for _, s := range services {
		made = append(made, steady.Release{Spec: steady.Spec{Project: "shop", Service: s, Drain: steady.Drain{Requests: time.Second, Streams: time.Second}}})
	}
	if err := p.store.Accept(t.Context(), &r, made); err != nil {
		t.Fatal(err)
	}
	return &backend{store: p.store, router: p.router}
}

func (p *plane) serve(t *testing.T, routes ...steady.Route) {
	t.Helper()
	for _, r := range routes {
		for _, name := range r.Replicas {
			p.engine.set(name, steady.StateRunning, 1)
		}
	}
	if err := p.Route(t.Context(), routes); err != nil {
		t.Fatal(err)
	}
}

func TestMaintain_IsInForceStoredAndOutlivesTheDaemon(t *testing.T) {
	p := newPlane(t)
	b := p.backend(t, "api")
	p.serve(t, p.route("shop-api-1-1"))
	got, err := b.Maintain(t.Context(), "shop", nil, &steady.Maintenance{Message: "soon", RetryAfter: time.Minute, Who: "eva"})
	if err != nil || len(got.Services) != 1 || !got.Services[0].Changed || got.Services[0].Maintenance.Who != "eva" {
		t.Fatalf("%+v, %v", got, err)
	}
	since := got.Services[0].Maintenance.Since
	if p.status(t) != http.StatusServiceUnavailable {
		t.Error("open")
	}
	p.boot()
	b.router = p.router
	if _, err := p.refresh(t.Context()); err != nil || p.status(t) != http.StatusServiceUnavailable {
		t.Errorf("open after the daemon's start (%v)", err)
	}
	p.serve(t, p.route("shop-api-2-1")) // a deploy meanwhile
	if p.status(t) != http.StatusServiceUnavailable {
		t.Error("a deploy opened it")
	}
	again, err := b.Maintain(t.Context(), "shop", nil, &steady.Maintenance{Message: "later", RetryAfter: time.Minute})
	if err != nil || !again.Services[0].Changed || again.Services[0].Maintenance.Message != "later" || !again.Services[0].Maintenance.Since.Equal(since) {
		t.Errorf("other settings: %+v, %v", again, err)
	}
	for _, changed := range []bool{true, false} {
		off, err := b.Maintain(t.Context(), "shop", nil, nil)
		if err != nil || off.Services[0].Changed != changed || off.Services[0].Maintenance != nil {
			t.Errorf("off: %+v, %v", off, err)
		}
	}
	if p.status(t) != http.StatusOK {
		t.Error("still shut")
	}
}

func TestMaintain_OfAProjectIsOfServicesToComeButForThoseOpened(t *testing.T) {
	p := newPlane(t)
	b := p.backend(t, "api", "web")
	api, web := p.route("api-1"), p.route("web-1")
	web.Service, web.Ports = "web", []steady.Port{{HostIP: "127.0.0.1", Published: freePort(t), Target: 80, Transport: "tcp", Protocol: steady.HTTP}}
	p.serve(t, api)
	m := &steady.Maintenance{RetryAfter: time.Minute}
	if _, err := b.Maintain(t.Context(), "shop", nil, m); err != nil {
		t.Fatal(err)
	}
	p.serve(t, web)
	shut := func() string {
		t.Helper()
		got, err := b.Maintenance(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range got.Services {
			if s.Maintenance != nil {
				names = append(names, s.Service)
			}
		}
		return strings.Join(names, " ")
	}
	if shut() != "api web" {
		t.Errorf("shut: %s", shut())
	}
	if _, err := b.Maintain(t.Context(), "shop", []string{"api"}, nil); err != nil || shut() != "web" || p.status(t) != http.StatusOK {
		t.Errorf("api opened, shut: %s (%v)", shut(), err)
	}
	if _, err := b.Maintain(t.Context(), "shop", []string{"api"}, m); err != nil || shut() != "api web" {
		t.Errorf("api shut again, shut: %s (%v)", shut(), err)
	}
	gone := web
	gone.Gone, gone.Replicas = true, nil
	p.serve(t, gone)
	gone = api
	gone.Gone, gone.Replicas = true, nil
	p.serve(t, gone)
	p.serve(t, api)
	if shut() != "" || p.status(t) != http.StatusOK {
		t.Errorf("the project went and came again, shut: %s", shut())
	}
}

func TestMaintain_AServiceThatIsServedByHostAlone(t *testing.T) {
	p := newPlane(t)
	b := p.backend(t, "api")
	r := p.route("api-1")
	r.Ports, r.Rules = nil, []steady.Rule{{Host: "*", Path: "/", Port: p.target, HTTP: fmt.Sprintf("127.0.0.1:%d", p.port)}}
	p.serve(t, r)
	for _, names := range [][]string{nil, {"api"}} {
		got, err := b.Maintain(t.Context(), "shop", names, &steady.Maintenance{RetryAfter: time.Minute})
		if err != nil || len(got.Services) != 1 || !got.Services[0].Changed || p.status(t) != http.StatusServiceUnavailable {
			t.Errorf("%v on: %+v, %v, status %d", names, got, err, p.status(t))
		}
		if pools := poolsOf(r); len(pools) != 1 {
			t.Errorf("what is in flight in %v is waited for", pools)
		}
		if _, err := b.Maintain(t.Context(), "shop", names, nil); err != nil || p.status(t) != http.StatusOK {
			t.Errorf("%v off: %v, status %d", names, err, p.status(t))
		}
	}
}

func TestMaintain_OutlivesALeaveThatFailed(t *testing.T) {
	p := newPlane(t)
	b := p.backend(t, "api", "web")
	api := p.route("api-1")
	p.serve(t, api)
	if _, err := b.Maintain(t.Context(), "shop", nil, &steady.Maintenance{RetryAfter: time.Minute}); err != nil {
		t.Fatal(err)
	}
	gone, web := api, api
	gone.Gone, gone.Replicas = true, nil
	web.Service, web.Ports = "web", []steady.Port{{HostIP: "127.0.0.1", Published: freePort(t), Target: 80, Transport: "tcp", Protocol: steady.HTTP}}
	foreignly(t, web.Ports[0].Published)
	if err := p.Route(t.Context(), []steady.Route{gone, web}); !errors.Is(err, steady.ErrPortTaken) {
		t.Fatalf("error %v", err)
	}
	if _, err := p.refresh(t.Context()); err != nil || p.status(t) != http.StatusServiceUnavailable {
		t.Errorf("%v, status %d: it is open", err, p.status(t))
	}
}

func TestMaintain_RefusesWhatCannotBe(t *testing.T) {
	p := newPlane(t)
	b := p.backend(t, "api", "worker")
	worker := steady.Route{Project: "shop", Service: "worker", Release: 1, Replicas: []string{"worker-1"}}
	p.serve(t, p.route("api-1"), worker)
	m := steady.Maintenance{RetryAfter: time.Minute}
	for what, c := range map[string]struct {
		project, service string
		page             string
		want             error
	}{
		"project": {"nobody", "api", "", steady.ErrNoProject},
		"service": {"shop", "db", "", steady.ErrNoService},
		"no port": {"shop", "worker", "", steady.ErrUsage},
		"page":    {"shop", "api", strings.Repeat("x", steady.MaxMaintenancePage+1), steady.ErrUsage},
	} {
		m.Page = c.page
		_, err := b.Maintain(t.Context(), c.project, []string{c.service}, &m)
		if !errors.Is(err, c.want) || steady.AsError(err).Hint == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if p.status(t) != http.StatusOK {
		t.Error("a refusal shut it")
	}
}

func TestRouter_StickinessIsInTheTable(t *testing.T) {
	p := newPlane(t)
	r := p.route("api-1")
	p.serve(t, r)
	r.Sticky = &steady.Sticky{Cookie: "at"}
	p.serve(t, r)
	table, err := p.proxy.Table(t.Context())
	if err != nil || !steady.Equal(table.Pools[0].Sticky, r.Sticky) {
		t.Errorf("table %+v, %v", table, err)
	}
}
