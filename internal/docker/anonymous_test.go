package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker/runtimetest"
)

// hosted is a spec with something else in its HostConfig.
func hosted(t *testing.T, spec steady.Spec, key string, v any) steady.Spec {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(spec.Container, &body); err != nil {
		t.Fatal(err)
	}
	body["HostConfig"].(map[string]any)[key] = v
	spec.Container, _ = json.Marshal(body)
	return spec
}

func mounting(t *testing.T, spec steady.Spec, volumes ...steady.AnonymousVolume) steady.Spec {
	t.Helper()
	out, err := spec.WithVolumes(volumes)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sourceless is a mount that the Engine makes a volume for.
func sourceless(at string) []any { return []any{map[string]string{"Type": "volume", "Target": at}} }

func at(c steady.Replica, path string) steady.MountedVolume {
	for _, v := range c.Volumes {
		if v.Path == path {
			return v
		}
	}
	return steady.MountedVolume{}
}

func (b *bench) hasVolume(t *testing.T, name string) bool {
	t.Helper()
	_, err := b.api.VolumeInspect(t.Context(), name, client.VolumeInspectOptions{})
	return err == nil
}

// Only what steady knows to be nobody's goes with a container: not the anonymous volumes
// of one that Compose made, or an earlier steady, which have no label.
func TestRemove_TakesEphemeralVolumesAlong(t *testing.T) {
	b := newBench(t)
	spec := hosted(t, runtimetest.Spec(b.project, "api", serveImage), "Mounts", sourceless("/cache"))
	ours := b.started(t, b.releaseOf(t, mounting(t, spec), 1))
	if v := at(ours, "/cache"); !v.Ephemeral || v.Anonymous {
		t.Errorf("%+v: want it ephemeral", v)
	}
	unlabelled := b.started(t, b.releaseOf(t, spec, 2))
	v := at(unlabelled, "/cache")
	if !v.Anonymous || v.Ephemeral {
		t.Errorf("%+v: want it anonymous", v)
	}
	for _, c := range []steady.Replica{ours, unlabelled} {
		if err := b.Remove(t.Context(), c.Name); err != nil {
			t.Fatal(err)
		}
	}
	if b.hasVolume(t, at(ours, "/cache").Name) || !b.hasVolume(t, v.Name) {
		t.Errorf("ephemeral there: %v, Compose's there: %v", b.hasVolume(t, at(ours, "/cache").Name), b.hasVolume(t, v.Name))
	}
	if err := b.RemoveVolumes(t.Context(), []string{v.Name}); err != nil || b.hasVolume(t, v.Name) {
		t.Errorf("remove it: %v", err)
	}
}

func TestStart_RefusesASecondContainerOnAnAnonymousVolume(t *testing.T) {
	b := newBench(t)
	v := steady.NewAnonymousVolume(b.project, "api", 1, "/cache")
	spec := mounting(t, runtimetest.Spec(b.project, "api", serveImage), v)
	t.Cleanup(func() { b.sweep(t); _ = b.RemoveVolumes(context.WithoutCancel(t.Context()), []string{v.Name}) })
	first := b.started(t, b.releaseOf(t, spec, 1))
	second := b.releaseOf(t, spec, 2)
	c, err := b.Create(t.Context(), second, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), c.Name); !errors.Is(err, steady.ErrUnsupported) || !strings.Contains(err.Error(), first.Name+" runs on its anonymous volume at /cache") {
		t.Errorf("got %v", err)
	}
	if err := b.Stop(t.Context(), first.Name); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), c.Name); err != nil {
		t.Errorf("once the first has stopped: %v", err)
	}
}

// volumes_from goes before what the image declares.
func TestCreate_VolumesFromAnotherServiceTakeThePlaceOfAnonymousOnes(t *testing.T) {
	b := newBench(t)
	theirs, own := steady.NewAnonymousVolume(b.project, "db", 1, "/cache"), steady.NewAnonymousVolume(b.project, "side", 1, "/cache")
	kept := steady.NewAnonymousVolume(b.project, "side", 1, "/own")
	t.Cleanup(func() {
		b.sweep(t)
		_ = b.RemoveVolumes(context.WithoutCancel(t.Context()), []string{theirs.Name, own.Name, kept.Name})
	})
	b.started(t, b.releaseOf(t, mounting(t, runtimetest.Spec(b.project, "db", serveImage), theirs), 1))
	side := hosted(t, runtimetest.Spec(b.project, "side", serveImage), "VolumesFrom", []string{b.project + "-db-1"})
	c := b.started(t, b.releaseOf(t, mounting(t, side, own, kept), 2))
	if got := at(c, "/cache"); got.Name != theirs.Name {
		t.Errorf("/cache is %+v, want db's volume", got)
	}
	if got := at(c, "/own"); got != (steady.MountedVolume{Path: "/own", Name: kept.Name, Anonymous: true}) {
		t.Errorf("/own is %+v", got)
	}
}
