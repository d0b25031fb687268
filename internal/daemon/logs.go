package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// Logs implements api.Backend. A name that is none of the project's services is an
// error, as silence would be taken for a container that wrote nothing.
func (b *backend) Logs(ctx context.Context, q steady.LogQuery, say func(steady.LogLine) error) error {
	if err := b.askable(ctx, q); err != nil {
		return err
	}
	return b.engine.Logs(ctx, q, say)
}

// askable says what in a query names nothing that there is.
func (b *backend) askable(ctx context.Context, q steady.LogQuery) error {
	seen, err := b.engine.Observe(ctx, q.Project, nil)
	if err != nil {
		return err
	}
	if len(seen.Replicas) == 0 {
		if err := b.known(ctx, q.Project); err != nil {
			return err
		}
	}
	serving, err := b.store.Serving(ctx, q.Project)
	if err != nil {
		return err
	}
	services := servicesOf(seen, serving)
	for _, name := range q.Services {
		if !slices.Contains(services, name) {
			return steady.ErrNoService.With(fmt.Sprintf("%s has no service %s", q.Project, name), "its services are "+strings.Join(services, ", "))
		}
	}
	left := func(r steady.Replica) bool { return r.Release == q.Release }
	if q.Release != 0 && !q.Follow && !slices.ContainsFunc(seen.Replicas, left) {
		return steady.ErrNoRelease.With(fmt.Sprintf("no container of release %d is left, and its log went with it", q.Release), "steady status")
	}
	return nil
}
