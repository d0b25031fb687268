package daemon

import (
	"context"
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

// Leases implements api.Backend.
func (b *backend) Leases(_ context.Context, project string) (steady.Leases, error) {
	return b.rollouts.Holds(project), nil
}

// Lock implements api.Backend. A service that does not serve is refused: a lock of
// a name that was typed wrongly would keep nobody from anything.
func (b *backend) Lock(ctx context.Context, l steady.Lease, ticket string, wait time.Duration) (steady.Lease, error) {
	serving, err := b.store.Serving(ctx, l.Project)
	if err != nil {
		return l, err
	}
	for _, s := range l.Services {
		if _, ok := serving[s]; !ok {
			return l, steady.ErrNoService.With(fmt.Sprintf("nothing of %s/%s serves", l.Project, s), "steady status, or lock the whole project")
		}
	}
	return b.rollouts.Lock(ctx, l, ticket, wait)
}

// Unlock implements api.Backend.
func (b *backend) Unlock(ctx context.Context, project string, services []string, who string, force bool) ([]steady.Lease, error) {
	return b.rollouts.Unlock(ctx, project, services, who, force)
}

// Deeds implements api.Backend.
func (b *backend) Deeds(ctx context.Context, q steady.AuditQuery) ([]steady.Deed, error) {
	return b.store.Deeds(ctx, q)
}
