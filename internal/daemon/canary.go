package daemon

import (
	"context"

	"gesalpai.ch/steady"
)

// Promote implements api.Canaries.
func (b *backend) Promote(ctx context.Context, project string, id int64, full bool, who string) (steady.Stage, error) {
	return b.rollouts.Promote(ctx, project, id, full, who)
}

// Pause implements api.Canaries.
func (b *backend) Pause(ctx context.Context, project string, id int64, who string) (steady.Stage, error) {
	return b.rollouts.Pause(ctx, project, id, who)
}

// Resume implements api.Canaries.
func (b *backend) Resume(ctx context.Context, project string, id int64, who string) (steady.Stage, error) {
	return b.rollouts.Resume(ctx, project, id, who)
}

// innerSplit is how calls from within the project are shared: without the cookie. Who
// calls is another service, whose one store of cookies would put all its calls on one
// release.
func innerSplit(s *steady.Split) *steady.Split {
	if s == nil {
		return nil
	}
	c := *s
	c.Cookie = ""
	return &c
}

// onTrial says whether a replica is of the release that a split tries out. UDP, which
// knows no weight, is not sent there.
func onTrial(route steady.Route, c steady.Replica) bool {
	return route.Split != nil && c.Release == route.Split.Release
}
