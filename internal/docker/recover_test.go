package docker_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady/internal/docker/runtimetest"
)

// A release made again from its replica makes replicas like it.
func TestRecovered_MakesTheContainerAgain(t *testing.T) {
	b := newBench(t)
	rel := b.releaseOf(t, runtimetest.Held(b.project, "api", serveImage), 7)
	if err := b.Prepare(t.Context(), rel.Spec); err != nil {
		t.Fatal(err)
	}
	holder, err := b.Hold(t.Context(), rel.Spec)
	if err != nil {
		t.Fatal(err)
	}
	first := b.started(t, rel)
	was := b.inspect(t, first.Name)
	got, err := b.Recovered(t.Context(), first.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got.Ref() != rel.Ref() || got.Image.ID != rel.Image.ID || got.Spec.Image != serveImage {
		t.Errorf("recovered %s of %+v", got.Ref(), got.Image)
	}
	if held, why := got.Spec.Held(); !held {
		t.Errorf("its names are not on a holder: %s", why)
	}
	for i, n := range got.Spec.Networks {
		for _, name := range rel.Spec.Networks[i].Aliases {
			if !slices.Contains(n.Aliases, name) {
				t.Errorf("names in %s are %v, without %s", n.Name, n.Aliases, name)
			}
		}
	}
	if err := b.Remove(t.Context(), first.Name); err != nil {
		t.Fatal(err)
	}
	now := b.inspect(t, b.started(t, got).Name)
	if d := cmp.Diff(was.Config.Env, now.Config.Env); d != "" {
		t.Errorf("environment (-was +now):\n%s", d)
	}
	if d := cmp.Diff(was.HostConfig.Mounts, now.HostConfig.Mounts); d != "" {
		t.Errorf("mounts (-was +now):\n%s", d)
	}
	if d := cmp.Diff(was.Config.Labels, now.Config.Labels); d != "" {
		t.Errorf("labels (-was +now):\n%s", d)
	}
	again, err := b.Hold(t.Context(), got.Spec)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(holder, again); d != "" {
		t.Errorf("the holder did not stay as it was (-was +now):\n%s", d)
	}
}
