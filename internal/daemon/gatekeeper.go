package daemon

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// gatekeeper renews the leases of the gates that the rollouts under way have shut.
// What no rollout of this daemon has shut lapses: nothing would open it.
type gatekeeper struct {
	store interface {
		Routes(ctx context.Context, project string) ([]steady.Route, error)
	}
	rollouts interface {
		Underway() []steady.Rollout
	}
	proxy interface {
		Renew(ctx context.Context, services []string) ([]string, error)
	}
	log *slog.Logger
}

// Run renews until ctx ends.
func (g *gatekeeper) Run(ctx context.Context) error {
	tick := time.NewTicker(steady.HoldRenewal)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := g.renew(ctx); err != nil && ctx.Err() == nil {
				g.log.Warn("renew the gates", "err", err)
			}
		}
	}
}

// renew renews all of them, once.
func (g *gatekeeper) renew(ctx context.Context) error {
	under := g.rollouts.Underway()
	if len(under) == 0 {
		return nil
	}
	routes, err := g.store.Routes(ctx, "")
	if err != nil {
		return err
	}
	var held []string
	for _, r := range routes {
		mine := slices.ContainsFunc(under, func(o steady.Rollout) bool {
			return o.Project == r.Project && slices.Contains(o.Services, r.Service)
		})
		if r.Hold != nil && mine {
			held = append(held, r.Project+"/"+r.Service)
		}
	}
	if len(held) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, steady.HoldRenewal)
	defer cancel()
	_, err = g.proxy.Renew(ctx, held)
	return err
}
