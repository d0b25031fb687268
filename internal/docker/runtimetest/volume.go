package runtimetest

import (
	"context"
	"testing"

	"gesalpai.ch/steady"
)

// anonymousVolume holds a Runtime to a volume that it makes, keeps and gives to the
// next replica under one name.
func anonymousVolume(t *testing.T, r *room) {
	v := steady.NewAnonymousVolume(r.Project, "api", 1, "/cache")
	t.Cleanup(func() { _ = r.Runtime.RemoveVolumes(context.WithoutCancel(t.Context()), []string{v.Name}) })
	for number := 1; number <= 2; number++ {
		rel := r.release("api", r.Serve, number)
		spec, err := rel.Spec.WithVolumes([]steady.AnonymousVolume{v})
		r.must("mount", err)
		rel.Spec = spec
		c := r.started(rel)
		found := false
		for _, m := range c.Volumes {
			found = found || m == steady.MountedVolume{Path: v.Path, Name: v.Name, Anonymous: true}
		}
		if !found {
			t.Errorf("release %d has %+v: want %s at %s", number, c.Volumes, v.Name, v.Path)
		}
		r.must("remove", r.Runtime.Remove(r.ctx, c.Name))
	}
	r.must("clean", r.Runtime.Clean(r.ctx, r.Project, true))
	r.must("remove volumes", r.Runtime.RemoveVolumes(r.ctx, []string{v.Name}))
	r.must("remove volumes again", r.Runtime.RemoveVolumes(r.ctx, []string{v.Name}))
}
