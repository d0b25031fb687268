package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"gesalpai.ch/steady"
)

// damaged is an Engine and a router with what is left of a project, and notes what
// is done about it.
type damaged struct {
	routes   []steady.Route
	replicas map[string]steady.Replica
	stopped  map[string]steady.Replica
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
