package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// damaged is an Engine and a router with what is left of a project, and notes what
// is done about it.
type damaged struct {
	routes   []steady.Route
	replicas map[string]steady.Replica
	stopped  map[string]steady.Replica
	bodies   map[string]string // of the calls that create containers, by service; where there are any, nothing is in networks
	holders  map[string]steady.Holder
	underway []steady.Rollout
	done     []string
	fails    error
}

func (d *damaged) lookedUp() ([]steady.Route, map[string]steady.Replica, map[string]steady.Holder) {
	return d.routes, d.replicas, d.holders
}
func (d *damaged) Underway() []steady.Rollout { return d.underway }
func (d *damaged) Prepare(context.Context, steady.Spec) error {
	d.done = append(d.done, "prepare")
	return d.fails
}
func (d *damaged) Hold(context.Context, steady.Spec) (steady.Holder, error) {
	d.done = append(d.done, "hold")
	return steady.Holder{}, nil
}
func (d *damaged) Name(_ context.Context, _ steady.Release, name string) error {
	d.done = append(d.done, "name "+name)
	return nil
}
func (d *damaged) Replica(_ context.Context, name string) (steady.Replica, error) {
	if c, there := d.stopped[name]; there {
		return c, nil
	}
	return steady.Replica{}, steady.ErrNoReplica
}
func (d *damaged) Restart(_ context.Context, name string) error {
	d.done = append(d.done, "restart "+name)
	return d.fails
}
func (d *damaged) Release(_ context.Context, project, service string, n int) (steady.Release, error) {
	if d.bodies != nil {
		return steady.Release{Project: project, Service: service, Number: n, Spec: steady.Spec{Project: project, Service: service,
			Container: json.RawMessage(d.bodies[service])}}, nil
	}
	return steady.Release{Project: project, Service: service, Number: n, Spec: steady.Spec{Project: project, Service: service,
		Networks: []steady.Network{{Name: "shop_default"}, {Name: "shop_back"}}}}, nil
}

func whole() *damaged {
	both := []string{"shop_back", "shop_default"}
	return &damaged{
		routes:   []steady.Route{{Project: "shop", Service: "api", Release: 1, Held: true, Replicas: []string{"api-1"}}},
		replicas: map[string]steady.Replica{"api-1": {Name: "api-1", Release: 1, State: steady.StateRunning, Networks: both}},
		holders:  map[string]steady.Holder{"shop/api": {PID: 7, Networks: both}},
	}
}

func TestMender_BringsBackWhatIsMissingAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(*damaged)
		want   []string
	}{
		"nothing":             {func(*damaged) {}, nil},
		"taken down whole":    {func(d *damaged) { d.holders, d.replicas = nil, nil }, nil},
		"holder gone":         {func(d *damaged) { d.holders = nil }, []string{"prepare", "hold"}},
		"holder stopped":      {func(d *damaged) { d.holders["shop/api"] = steady.Holder{} }, []string{"prepare", "hold"}},
		"holder disconnected": {func(d *damaged) { d.holders["shop/api"] = steady.Holder{PID: 7, Networks: []string{"shop_default"}} }, []string{"prepare", "hold"}},
		"replica disconnected": {func(d *damaged) {
			d.replicas["api-1"] = steady.Replica{Name: "api-1", Release: 1, State: steady.StateRunning, Networks: []string{}}
		}, []string{"prepare", "name api-1"}},
		"replica stopped": {func(d *damaged) {
			d.replicas["api-1"] = steady.Replica{Name: "api-1", Release: 1, State: steady.StateExited, Networks: []string{}}
		}, nil},
		"a rollout is at it": {func(d *damaged) {
			d.holders, d.underway = nil, []steady.Rollout{{Project: "shop", Services: []string{"api"}}}
		}, nil},
		"names on replicas": {func(d *damaged) { d.holders, d.routes[0].Held = nil, false }, nil},
	} {
		d := whole()
		c.damage(d)
		m := &mender{releases: d, engine: d, rollouts: d, router: d, log: slog.New(slog.DiscardHandler), specs: map[string]steady.Release{}}
		if did := m.all(t.Context()); did != (c.want != nil) || !slices.Equal(d.done, c.want) {
			t.Errorf("%s: %v %v, want %v", name, did, d.done, c.want)
		}
	}
}

func TestMender_WhatFailsIsNotMended(t *testing.T) {
	d := whole()
	d.holders, d.fails = nil, errors.New("no room")
	m := &mender{releases: d, engine: d, rollouts: d, router: d, log: slog.New(slog.DiscardHandler), specs: map[string]steady.Release{}}
	if m.all(t.Context()) || !slices.Equal(d.done, []string{"prepare"}) {
		t.Errorf("%v", d.done)
	}
}

// vpn is a service in whose network another one lives, both of which were started.
func vpn(vpnStarted, appStarted time.Duration) *damaged {
	base := time.Unix(1_000_000, 0)
	return &damaged{
		routes: []steady.Route{{Project: "shop", Service: "app", Release: 1, Replicas: []string{"app-1"}}, {Project: "shop", Service: "vpn", Release: 1, Replicas: []string{"vpn-1"}}},
		replicas: map[string]steady.Replica{
			"vpn-1": {ID: "v", Name: "vpn-1", Number: 1, Release: 1, State: steady.StateRunning, Started: base.Add(vpnStarted)},
			"app-1": {ID: "a", Name: "app-1", Number: 1, Release: 1, State: steady.StateRunning, Started: base.Add(appStarted), Joined: map[string]string{steady.ShareNetwork: "v"}},
		},
		stopped: map[string]steady.Replica{}, bodies: map[string]string{"app": `{"HostConfig":{"NetworkMode":"container:shop-vpn-1"}}`},
	}
}

func TestMender_RestartsWhatHasOutlivedItsNetwork(t *testing.T) {
	for name, c := range map[string]struct {
		of     *damaged
		damage func(*damaged)
		want   []string
	}{
		"as they were started":  {of: vpn(0, time.Second)},
		"the VPN was restarted": {of: vpn(time.Minute, time.Second), want: []string{"restart app-1"}},
		"a rollout is at it": {of: vpn(time.Minute, time.Second), damage: func(d *damaged) {
			d.underway = []steady.Rollout{{Project: "shop", Services: []string{"app"}}}
		}},
		"the VPN does not run": {of: vpn(time.Minute, time.Second), damage: func(d *damaged) { delete(d.replicas, "vpn-1") }},
		"the VPN is another container": {of: vpn(time.Minute, time.Second), damage: func(d *damaged) {
			c := d.replicas["vpn-1"]
			c.ID = "other"
			d.replicas["vpn-1"] = c
		}},
		"it could not start, as the VPN did not run": {of: vpn(time.Minute, time.Second), want: []string{"restart app-1"}, damage: func(d *damaged) {
			c := d.replicas["app-1"]
			c.State, c.Refused = steady.StateExited, "cannot join network of a non running container"
			delete(d.replicas, "app-1")
			d.stopped["app-1"] = c
		}},
		"somebody has stopped it": {of: vpn(time.Minute, time.Second), damage: func(d *damaged) {
			c := d.replicas["app-1"]
			c.State = steady.StateExited
			delete(d.replicas, "app-1")
			d.stopped["app-1"] = c
		}},
	} {
		d := c.of
		if c.damage != nil {
			c.damage(d)
		}
		m := &mender{releases: d, engine: d, rollouts: d, router: d, log: slog.New(slog.DiscardHandler), specs: map[string]steady.Release{}}
		if did := m.all(t.Context()); did != (c.want != nil) || !slices.Equal(d.done, c.want) {
			t.Errorf("%s: %v %v, want %v", name, did, d.done, c.want)
		}
	}
}
