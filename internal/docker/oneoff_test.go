package docker_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker/runtimetest"
)

// While a one-off runs, callers of the service find its replica and nothing else,
// whatever hostname the file gives; the one-off itself finds the service.
func TestOneoff_IsFoundByNobodyAndFindsTheService(t *testing.T) {
	b := newBench(t)
	spec := runtimetest.Spec(b.project, "api", serveImage)
	spec.Container = bytes.Replace(spec.Container, []byte(`"Image"`), []byte(`"Hostname":"api","Env":["GIVEN=1","STEADY_HOOK=of the file"],"Image"`), 1)
	rel := b.releaseOf(t, spec, 1)
	c := b.started(t, rel)
	if err := b.Name(t.Context(), rel, c.Name); err != nil {
		t.Fatal(err)
	}
	o := steady.Oneoff{Name: steady.HookName(b.project, "api", steady.HookBefore, 7), Command: []string{"serve"}, Env: []string{"STEADY_HOOK=before"}, Rollout: 7}
	if _, err := b.Oneoff(t.Context(), rel, o); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), o.Name); err != nil {
		t.Fatal(err)
	}
	want := c.Addresses[b.project+"_default"]
	for _, from := range []string{c.Name, o.Name} {
		for _, name := range []string{"api", runtimetest.Alias} {
			if got := b.lookup(t, from, name); got != want && !(from == c.Name && strings.Contains(got, want)) {
				t.Errorf("from %s %s is at %q, want %s", from, name, got, want)
			}
		}
	}
	got, err := b.api.ContainerInspect(t.Context(), o.Name, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	env := " " + strings.Join(got.Container.Config.Env, " ") + " "
	if !strings.Contains(env, " GIVEN=1 ") || !strings.Contains(env, " STEADY_HOOK=before ") || strings.Contains(env, "of the file") {
		t.Errorf("environment %q", env)
	}
	if len(got.Container.HostConfig.PortBindings) > 0 || len(got.Container.Mounts) != 1 {
		t.Errorf("ports %v, mounts %v", got.Container.HostConfig.PortBindings, got.Container.Mounts)
	}
}

// A text is for the shell, whatever entrypoint the image has.
func TestOneoff_ALineSetsTheEntrypointAside(t *testing.T) {
	b := newBench(t)
	rel := b.release(t, "api", 1)
	if err := b.Prepare(t.Context(), rel.Spec); err != nil {
		t.Fatal(err)
	}
	o := steady.Oneoff{Name: steady.HookName(b.project, "api", steady.HookBefore, 7), Command: []string{"/bin/sh", "-c", "migrate"}, Shell: true, Rollout: 7}
	if _, err := b.Oneoff(t.Context(), rel, o); err != nil {
		t.Fatal(err)
	}
	got, err := b.api.ContainerInspect(t.Context(), o.Name, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c := got.Container.Config; strings.Join(c.Entrypoint, " ") != "/bin/sh -c" || strings.Join(c.Cmd, " ") != "migrate" {
		t.Errorf("entrypoint %q, command %q", c.Entrypoint, c.Cmd)
	}
}

func TestOneoff_DockerComposeLeavesItOut(t *testing.T) {
	b := newBench(t)
	rel := b.release(t, "api", 1)
	c := b.started(t, rel)
	o := steady.Oneoff{Name: steady.HookName(b.project, "api", steady.HookBefore, 7), Command: []string{"serve"}, Rollout: 7}
	if _, err := b.Oneoff(t.Context(), rel, o); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), o.Name); err != nil {
		t.Fatal(err)
	}
	out, err := b.plugin(t, "ps")
	if err != nil || !strings.Contains(out, c.Name) || strings.Contains(out, o.Name) {
		t.Errorf("docker compose ps says %v: %s", err, out)
	}
}
