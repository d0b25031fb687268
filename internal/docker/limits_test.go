package docker_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
	"gesalpai.ch/steady/internal/docker"
)

// guideFile has the guide's limits and its health check.
const guideFile = `
services:
  api:
    image: IMAGE
    restart: unless-stopped
    healthcheck:
      test: ["CMD", "/app", "lookup", "localhost"]
      interval: 10s
      timeout: 5s
      retries: 3
      start_period: 30s
    deploy:
      resources:
        limits: { memory: 64M, cpus: "0.5" }
        reservations: { memory: 16M }
`

// loaded is a service of a Compose file as a release of the bench's project.
func (b *bench) loaded(t *testing.T, file string) steady.Release {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "compose.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(file, "IMAGE", serveImage)), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := compose.Load(t.Context(), compose.Options{Files: []string{path}, ProjectName: b.project, ProjectDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(p.Specs, func(s steady.Spec) bool { return s.Service == "api" })
	return b.releaseOf(t, p.Specs[i], 1)
}

func TestCreate_LimitsHealthcheckAndRestartReachTheContainerAsTheFileHasThem(t *testing.T) {
	b := newBench(t)
	rel := b.loaded(t, guideFile)
	r := b.started(t, rel)
	c := b.inspect(t, r.Name)
	if c.HostConfig.Memory != 64<<20 || c.HostConfig.NanoCPUs != 5e8 || c.HostConfig.MemoryReservation != 16<<20 {
		t.Errorf("memory %d, nano CPUs %d, reservation %d", c.HostConfig.Memory, c.HostConfig.NanoCPUs, c.HostConfig.MemoryReservation)
	}
	h := c.Config.Healthcheck
	if h == nil || h.Interval != 10*time.Second || h.Timeout != 5*time.Second || h.Retries != 3 || h.StartPeriod != 30*time.Second ||
		!slices.Equal(h.Test, []string{"CMD", "/app", "lookup", "localhost"}) {
		t.Errorf("health check %+v", h)
	}
	if rel.Spec.Probe.Kind != steady.ProbeExec || rel.Spec.Probe.Interval >= h.Interval || rel.Spec.Probe.Timeout != h.Timeout {
		t.Errorf("our own probe is not the same question asked sooner: %+v", rel.Spec.Probe)
	}
	if want := (steady.Limits{CPUs: 0.5, Memory: 64 << 20}); r.Limits != want || r.Restart != "unless-stopped" {
		t.Errorf("shown: limits %+v, restart %q", r.Limits, r.Restart)
	}
	if err := b.Stop(t.Context(), r.Name); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Replica(t.Context(), r.Name); err != nil || r.Restart != "unless-stopped" {
		t.Errorf("restart policy shown of a stopped one: %q, %v", r.Restart, err)
	}
}

func TestMeter_TellsAtOnceWhatRunsUses(t *testing.T) {
	b := newBench(t)
	m := docker.NewMeter(b.Engine)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	defer func() { cancel(); <-done }()
	one, two := b.started(t, b.release(t, "api", 1)), b.started(t, b.release(t, "api", 2))
	if err := b.Stop(t.Context(), two.Name); err != nil {
		t.Fatal(err)
	}
	stopped, err := b.Replica(t.Context(), two.Name)
	if err != nil {
		t.Fatal(err)
	}
	ask := []steady.Replica{one, stopped}
	waitUntil(t, func() bool { return len(m.Read(t.Context(), ask)) == 1 })
	begin := time.Now()
	got := m.Read(t.Context(), ask)
	if took := time.Since(begin); took > 100*time.Millisecond {
		t.Errorf("took %s though it has been looked at", took)
	}
	u, ok := got[one.ID]
	if !ok || len(got) != 1 || u.Memory <= 0 || u.Memory > 1<<30 || u.CPUSeconds <= 0 || u.CPU <= 0 || u.CPU > 4 {
		t.Errorf("%+v", got)
	}
}

func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(10 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it never came to be")
		}
	}
}
