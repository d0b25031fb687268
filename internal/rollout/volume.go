package rollout

import (
	"context"
	"fmt"

	"gesalpai.ch/steady"
)

// create makes a replica with the anonymous volumes that the plan gives it, and with the
// namespaces and volumes of those with which it shares.
func (r *run) create(ctx context.Context, s steady.Step, release steady.Release) error {
	spec, err := release.Spec.WithVolumes(s.Mounts)
	if err != nil {
		return err
	}
	ids := map[string]string{}
	for has, name := range s.Shares {
		c, err := r.engine.Runtime.Replica(ctx, name)
		if err != nil {
			return fmt.Errorf("look up %s, with which %s shares: %w", name, s.Replica, err)
		}
		ids[has] = c.ID
	}
	if spec, err = spec.WithShared(ids); err != nil {
		return err
	}
	release.Spec = spec
	_, err = r.engine.Runtime.Create(ctx, release, s.Number, r.ID)
	return err
}

// clean cleans up behind a project that goes. Volumes are forgotten once they are gone,
// and with them goes what would be left of the project: the images of its releases.
func (r *run) clean(ctx context.Context, s steady.Step) error {
	e := r.engine
	if s.Service == "" {
		if err := e.Runtime.Clean(ctx, r.Project, s.Volumes); err != nil || !s.Volumes {
			return err
		}
	}
	var names []string
	for _, v := range s.Mounts {
		names = append(names, v.Name)
	}
	if err := e.Runtime.RemoveVolumes(ctx, names); err != nil {
		return fmt.Errorf("remove volumes: %w", err)
	}
	if s.Service == "" {
		r.dropImages(ctx)
	}
	return e.Journal.ForgetVolumes(ctx, r.Project, s.Service)
}
