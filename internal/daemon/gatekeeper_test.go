package daemon

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"gesalpai.ch/steady"
)

// gates are what a gatekeeper is wired to.
type gates struct {
	routes  []steady.Route
	under   []steady.Rollout
	renewed [][]string
}

func (g *gates) Routes(context.Context, string) ([]steady.Route, error) { return g.routes, nil }
func (g *gates) Underway() []steady.Rollout                             { return g.under }
func (g *gates) Renew(_ context.Context, services []string) ([]string, error) {
	g.renewed = append(g.renewed, services)
	return services, nil
}

// A gate that a rollout shut and did not open is nobody's once that has ended: it
// must lapse.
func TestGatekeeper_RenewsWhatARolloutUnderWayHolds(t *testing.T) {
	h := (steady.Spec{}).Gate()
	g := &gates{routes: []steady.Route{
		{Project: "shop", Service: "api", Replicas: []string{"shop-api-1-1"}},
		{Project: "shop", Service: "db", Hold: h},
		{Project: "shop", Service: "left", Hold: h},
		{Project: "other", Service: "db", Hold: h},
	}}
	k := &gatekeeper{store: g, rollouts: g, proxy: g, log: slog.New(slog.DiscardHandler)}
	if err := k.renew(t.Context()); err != nil || len(g.renewed) > 0 {
		t.Errorf("no rollout is under way, and %v were renewed, %v", g.renewed, err)
	}
	g.under = []steady.Rollout{{Project: "shop", Services: []string{"api", "db"}}}
	if err := k.renew(t.Context()); err != nil || len(g.renewed) != 1 || !slices.Equal(g.renewed[0], []string{"shop/db"}) {
		t.Errorf("renewed %v, %v", g.renewed, err)
	}
}
