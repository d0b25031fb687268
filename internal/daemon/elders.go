package daemon

import (
	"context"
	"errors"

	"gesalpai.ch/steady"
)

// seeElders looks a route's elders up. One that has gone, died or been started again
// is left out for good: whether it can serve is known of those in force only.
func (r *router) seeElders(ctx context.Context, route steady.Route) error {
	for _, name := range route.Elders {
		c, err := r.replica(ctx, name)
		if err != nil && !errors.Is(err, steady.ErrNoReplica) {
			return err // the Engine is away: what serves, serves on
		}
		was, seen := r.known[name]
		if err != nil || !c.Running() || seen && was.Started != c.Started {
			r.away[name] = true
			continue
		}
		r.known[name] = c
	}
	return nil
}
