package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/load"
)

// BenchmarkRollout measures how long a rollout takes beyond what nothing can
// spare it: the Engine's create and start, the app's own start, the longest
// request in flight, and the Engine's stop with the app's own. The goal is a
// median of at most 150 ms. It also tells how long after the app's own word
// ("listening") readiness was seen: at most 100 ms, though the health check's
// interval is 10 s.
func BenchmarkRollout(b *testing.B) {
	h := swiftHost(b, "e2e-bench")
	small(h, "    healthcheck: { test: [CMD, /app, health], interval: 10s }\n")
	h.env["START_DELAY"] = "300ms"
	h.deploy(1)
	l := load.Start(load.Options{URL: h.api(), Rate: 50, Duration: 10 * time.Minute, WebSockets: -1, SSEs: -1})
	var beyond, seen []time.Duration
	release := 1
	for b.Loop() {
		release++
		over, late := h.timed(release)
		beyond, seen = append(beyond, over), append(seen, late)
	}
	if r := l.Stop(); !r.Clean() {
		b.Errorf("lost under load:\n%s", r)
	}
	report(b, beyond, "ms-beyond-p50", "ms-beyond-max")
	report(b, seen, "ms-ready-seen-p50", "ms-ready-seen-max")
}

func report(b *testing.B, ds []time.Duration, median, most string) {
	slices.Sort(ds)
	b.ReportMetric(float64(ds[len(ds)/2].Microseconds())/1000, median)
	b.ReportMetric(float64(ds[len(ds)-1].Microseconds())/1000, most)
}

// timed deploys and gives the time beyond the unavoidable, and how late readiness
// was seen.
func (h *host) timed(release int) (beyond, late time.Duration) {
	h.t.Helper()
	events := h.events(map[string]string{"GESALP_RELEASE": fmt.Sprint(release)})
	var unavoidable time.Duration
	var started, probed time.Time
	for _, e := range events {
		if e.Kind != steady.EventStep {
			continue
		}
		switch e.Step {
		case steady.StepCreate, steady.StepStop:
			unavoidable += e.Took
		case steady.StepStart:
			unavoidable += e.Took
			started = e.Time
		case steady.StepProbe:
			probed = e.Time
		case steady.StepDrain:
			unavoidable += e.Drained.Longest
		}
	}
	listening := h.listening(fmt.Sprintf("%s-web-%d-1", h.project, release))
	if listening.After(started) {
		unavoidable += listening.Sub(started)
	}
	whole := events[len(events)-1].Time.Sub(events[0].Time)
	return whole - unavoidable, probed.Sub(listening)
}

// events deploys and gives the rollout's events.
func (h *host) events(env map[string]string) []steady.Event {
	h.t.Helper()
	r := h.with(env, "deploy", "-y", "--json")
	if r.code != 0 {
		h.t.Fatalf("deploy: exit %d\n%s%s", r.code, r.out, r.err)
	}
	return eventsIn(h.t, r.out)
}

var spoke = regexp.MustCompile(`time=(\S+) .*msg=listening`)

// listening is when the app said that it listens.
func (h *host) listening(container string) time.Time {
	h.t.Helper()
	out, err := exec.Command("docker", "logs", container).CombinedOutput()
	if err != nil {
		h.t.Fatalf("docker logs: %v\n%s", err, out)
	}
	m := spoke.FindSubmatch(out)
	if m == nil {
		h.t.Fatalf("%s did not say that it listens:\n%s", container, out)
	}
	at, err := time.Parse(time.RFC3339Nano, string(m[1]))
	if err != nil {
		h.t.Fatal(err)
	}
	return at
}

// BenchmarkIdleMemory tells what the daemon and the proxy of a small stack keep
// resident while nothing happens.
func BenchmarkIdleMemory(b *testing.B) {
	h := swiftHost(b, "e2e-memory")
	small(h, "")
	h.deploy(1)
	for b.Loop() {
		b.ReportMetric(resident(b, h.daemon.Process.Pid), "MiB-daemon")
		b.ReportMetric(resident(b, h.proxyPID()), "MiB-proxy")
	}
}

// resident is a process's resident memory in MiB (VmRSS in proc(5), in KiB there).
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}
