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
	kept, err := b.kept(ctx, q)
	if err != nil {
		return err
	}
	if err := b.askable(ctx, q, kept); err != nil {
		return err
	}
	for _, lines := range kept {
		for _, l := range tailOf(lines, q) {
			if err := say(l); err != nil {
				return err
			}
		}
	}
	return b.engine.Logs(ctx, q, say)
}

// kept gives what is kept of the asked release's replicas that a failed rollout has
// removed, a list for each, of services of which no container of that release is left.
func (b *backend) kept(ctx context.Context, q steady.LogQuery) ([][]steady.LogLine, error) {
	if q.Release == 0 || q.Follow {
		return nil, nil
	}
	all, err := b.store.KeptLogs(ctx, q.Project, q.Release)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	seen, err := b.engine.Observe(ctx, q.Project, nil)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(lines []steady.LogLine) bool {
		if len(lines) == 0 {
			return true
		}
		service := lines[0].Service
		there := slices.ContainsFunc(seen.Of(service), func(r steady.Replica) bool { return r.Release == q.Release })
		return there || len(q.Services) > 0 && !slices.Contains(q.Services, service)
	}), nil
}

// tailOf are the last lines that the query wants.
func tailOf(lines []steady.LogLine, q steady.LogQuery) []steady.LogLine {
	lines = slices.DeleteFunc(lines, func(l steady.LogLine) bool { return l.Time.Before(q.Since) })
	if q.Tail >= 0 && len(lines) > q.Tail {
		lines = lines[len(lines)-q.Tail:]
	}
	return lines
}

// askable says what in a query names nothing that there is.
func (b *backend) askable(ctx context.Context, q steady.LogQuery, kept [][]steady.LogLine) error {
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
	for _, lines := range kept {
		services = append(services, lines[0].Service)
	}
	for _, name := range q.Services {
		if !slices.Contains(services, name) {
			return steady.ErrNoService.With(fmt.Sprintf("%s has no service %s", q.Project, name), "its services are "+strings.Join(services, ", "))
		}
	}
	left := func(r steady.Replica) bool { return r.Release == q.Release }
	if q.Release != 0 && !q.Follow && len(kept) == 0 && !slices.ContainsFunc(seen.Replicas, left) {
		return steady.ErrNoRelease.With(fmt.Sprintf("no container of release %d is left, and its log went with it: logs of failed rollouts are kept, of others not", q.Release), "steady status")
	}
	return nil
}
