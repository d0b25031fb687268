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
	if err := b.serves(ctx, l.Project, l.Services, "steady status, or lock the whole project"); err != nil {
		return l, err
	}
	return b.rollouts.Lock(ctx, l, ticket, wait)
}

// serves refuses services that do not serve.
func (b *backend) serves(ctx context.Context, project string, services []string, hint string) error {
	serving, err := b.store.Serving(ctx, project)
	if err != nil {
		return err
	}
	for _, s := range services {
		if _, ok := serving[s]; !ok {
			return steady.ErrNoService.With(fmt.Sprintf("nothing of %s/%s serves", project, s), hint)
		}
	}
	return nil
}

// Unlock implements api.Backend. As for Lock, a service must serve: one that was
// typed wrongly would release the lock of the whole project.
func (b *backend) Unlock(ctx context.Context, project string, services []string, who string, force bool) ([]steady.Lease, error) {
	if err := b.serves(ctx, project, services, "steady lock show, or steady lock release without a service"); err != nil {
		return nil, err
	}
	return b.rollouts.Unlock(ctx, project, services, who, force)
}

// Deeds implements api.Backend.
func (b *backend) Deeds(ctx context.Context, q steady.AuditQuery) ([]steady.Deed, error) {
	return b.store.Deeds(ctx, q)
}
