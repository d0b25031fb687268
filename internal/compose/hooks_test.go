package compose_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
)

func TestXSteady_HooksAreReadAsTheyStand(t *testing.T) {
	p := loadText(t, `
x-steady: {hooks: {after: {command: "echo done", timeout: 10s}}}
services:
  api:
    image: x
    x-steady:
      hooks:
        before: {command: [python, manage.py, migrate], timeout: 1m, on_rollback: true}
        stop: {command: "curl -X POST localhost/leave"}
        after: {command: [./announce], on: host}
  web: {image: x}
`)
	want := map[string]*steady.Hooks{
		"api": {
			Before: &steady.Hook{Command: []string{"python", "manage.py", "migrate"}, On: steady.HookContainer, Timeout: time.Minute, OnRollback: true},
			Stop:   &steady.Hook{Command: []string{"/bin/sh", "-c", "curl -X POST localhost/leave"}, Shell: true, On: steady.HookExec, Timeout: 5 * time.Minute},
			After:  &steady.Hook{Command: []string{"./announce"}, On: steady.HookHost, Timeout: 5 * time.Minute},
		},
		"web": nil,
	}
	project := &steady.Hooks{After: &steady.Hook{Command: []string{"/bin/sh", "-c", "echo done"}, Shell: true, On: steady.HookHost, Timeout: 10 * time.Second}}
	for _, s := range p.Specs {
		if d := cmp.Diff(want[s.Service], s.Hooks); d != "" {
			t.Errorf("%s (-want +got):\n%s", s.Service, d)
		}
		if d := cmp.Diff(project, s.ProjectHooks); d != "" {
			t.Errorf("project's, at %s (-want +got):\n%s", s.Service, d)
		}
	}
}

func TestXSteady_HooksOfTheProjectAreNotPartOfTheDigest(t *testing.T) {
	dir := t.TempDir()
	digest := func(top, own string) string {
		text := "x-steady: {" + top + "}\nservices: {web: {image: x, x-steady: {" + own + "}}}"
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return p.Specs[0].Digest()
	}
	plain := digest("", "")
	if digest("hooks: {before: {command: a}}", "") != plain {
		t.Error("a hook of the project makes another release of its services")
	}
	if digest("", "hooks: {before: {command: a}}") == plain {
		t.Error("a hook of the service makes no other release of it")
	}
}

func TestXSteady_RefusesAHookThatCannotRun(t *testing.T) {
	for x, want := range map[string]string{
		"hooks: {before: {timeout: 1m}}":               "hooks.before: says no command",
		"hooks: {before: {command: []}}":               "is neither a line nor a list",
		"hooks: {before: {command: a, on: exec}}":      "hooks.before.on: there is no replica of the new release yet",
		"hooks: {before: {command: a, on: moon}}":      "moon is none of container, exec, host",
		"hooks: {before: {command: a, timeout: 0s}}":   "is no time after which a hook could be stopped",
		"hooks: {stop: {command: a, on_rollback: no}}": "hooks.stop.on_rollback: unknown key",
	} {
		refuses(t, "services: {web: {image: x, x-steady: {"+x+"}}}", want)
	}
	for x, want := range map[string]string{
		"hooks: {before: {command: a, on: container}}": "hooks of the project run on the host",
		"hooks: {stop: {command: a}}":                  "hooks.stop.command: stands within a service only",
	} {
		refuses(t, "x-steady: {"+x+"}\nservices: {web: {image: x}}", want)
	}
}
