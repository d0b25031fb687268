package compose_test

import (
	"context"
	"path/filepath"
	"testing"

	"gesalpai.ch/steady/internal/compose"
)

func TestHash_IsThePluginsWhereThereIsOne(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds Compose's plugin: make test runs it")
	}
	config := plugin(t)
	dir := write(t, map[string]string{"compose.yaml": "services: {web: {image: x, volumes: [\".:/x\"]}, db: {image: y}}"})
	o := compose.Options{WorkingDir: dir, Env: stack{config: config, dir: dir}.env()}
	sdk, err := compose.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ask := compose.PluginHash(o)
	for _, s := range sdk.Specs {
		h, err := ask(t.Context(), s.Service)
		if err != nil {
			t.Fatal(err)
		}
		if want := hashOf(t, s); h != want {
			t.Errorf("the plugin says %s for %s, the SDK of the same version %s", h, s.Service, want)
		}
	}
	if _, err := ask(t.Context(), "gone"); err == nil {
		t.Error("it knows a service that is not there")
	}
}

func TestHash_FallsBackInSilence(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": one})
	t.Setenv("PATH", filepath.Join(dir, "nothing"))
	o := compose.Options{WorkingDir: dir}
	o.Hash = compose.PluginHash(o)
	p, err := compose.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Warnings) > 0 || len(hashOf(t, p.Specs[0])) != 64 {
		t.Errorf("hash is %q, warnings are %q", hashOf(t, p.Specs[0]), p.Warnings)
	}
}

func TestHash_IsStampedOnTheContainer(t *testing.T) {
	o := compose.Options{WorkingDir: write(t, map[string]string{"compose.yaml": one})}
	o.Hash = func(_ context.Context, service string) (string, error) { return "hash-of-" + service, nil }
	p, err := compose.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := hashOf(t, p.Specs[0]); got != "hash-of-web" {
		t.Errorf("hash is %q", got)
	}
}
