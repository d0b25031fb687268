package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
	"gesalpai.ch/steady/test/load"
)

// singleton is a service that writes to a volume: two of it may never run. It takes
// a second to start. more stands in its x-steady section.
func singleton(h *host, more string) {
	h.t.Helper()
	h.env["START_DELAY"] = "1s"
	small(h, more+"    volumes: [\"data:/data\"]\nvolumes: {data: {}}\n")
}

// visitors ask 200 times a second, 60 of them by POST, each on a connection of its
// own where the others wait.
func visitors(h *host) *load.Running {
	return load.Start(load.Options{URL: h.api(), Rate: 200, Duration: 6 * time.Hour, WebSockets: -1, SSEs: -1, Conns: 500, InFlight: 1500,
		Mix: load.Mix{KeepAlive: 0.4, Fresh: 0.3, Post: 0.3}})
}

// behind is what a rollout did while nobody answered, from its events: the sum of
// the steps, and the whole of it on the clock.
func behind(t *testing.T, h *host, release int) (steps, clock time.Duration) {
	t.Helper()
	h.env["GESALP_RELEASE"] = fmt.Sprint(release)
	r := h.steady("deploy", "-y", "--json")
	if r.code != 0 {
		t.Fatalf("deploy release %d: exit %d\n%s%s\n%s", release, r.code, r.out, r.err, h.log)
	}
	var shut time.Time
	for _, e := range eventsIn(t, r.out) {
		if e.Kind != steady.EventStep {
			continue
		}
		switch id := strings.TrimPrefix(e.StepID, "web/"); {
		case id == "withdraw":
			shut = e.Time
		case strings.HasPrefix(id, "drain/"), strings.HasPrefix(id, "stop/"), strings.HasPrefix(id, "start/"), strings.HasPrefix(id, "probe/"):
			steps += e.Took
		case id == "shift":
			return steps, e.Time.Sub(shut)
		}
	}
	t.Fatalf("no shift in\n%s", r.out)
	return 0, 0
}

// waited is the longest wait that the proxy has counted at the service's gate.
func waited(t *testing.T, h *host) time.Duration {
	t.Helper()
	f, err := proxy.NewClient(filepath.Join(h.run, "proxy.sock")).Flows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f.Of(h.project + "/web").LongestWait
}

// longestWait is the longest that a visitor saw.
func longestWait(r load.Report) time.Duration {
	var out time.Duration
	for _, s := range r.Loads {
		out = max(out, s.Latency.Longest)
	}
	return out
}

func TestHold_ASingletonIsReplacedUnderLoadAndNothingIsLost(t *testing.T) {
	h := swiftHost(t, "hhold-load")
	singleton(h, "")
	h.deploy(1)
	n := rollouts(t, 3)
	l := visitors(h)
	var steps, clock time.Duration
	for release := 2; release <= n+1; release++ {
		s, c := behind(t, h, release)
		steps, clock = max(steps, s), max(clock, c)
	}
	r := l.Stop()
	wait, seen := waited(t, h), longestWait(r)
	t.Logf("%d rollouts: longest wait at the gate %s, as a visitor saw it %s; drain + stop + start + probe %s, gate shut for %s\n%s", n, wait, seen, steps, clock, r)
	if !r.Clean() {
		t.Errorf("lost %d, cut %d, unsent %d", r.Lost(), r.Cut(), r.Unsent())
	}
	// What is beyond the steps is the journal between them and, on a busy machine,
	// being called at last.
	const slack = 500 * time.Millisecond
	if wait > steps*12/10+slack {
		t.Errorf("the longest wait is %s, and drain, stop, start and probe took %s", wait, steps)
	}
	if clock < time.Second || wait < time.Second || seen < time.Second {
		t.Errorf("nobody waited: the gate was shut for %s, the longest waits were %s and %s", clock, wait, seen)
	}
}

// What is held is not for ever: beyond its bounds visitors are told so, a release that
// does not start gives way to the old one behind the shut gate, and without it, which
// is the positive control, the same rollout loses.
func TestHold_ItsBoundsItsUndoAndItsAbsence(t *testing.T) {
	h := swiftHost(t, "hhold-ways")
	singleton(h, "      hold: { requests: 5000 }\n")
	h.deploy(1)
	l := visitors(h)
	r := h.with(map[string]string{"GESALP_RELEASE": "2", "EXIT_AT_START": "1"}, "deploy", "-y")
	if r.code != 3 {
		t.Errorf("exit %d, want 3\n%s%s", r.code, r.out, r.err)
	}
	got := l.Stop()
	t.Logf("a bad release: longest wait %s\n%s", longestWait(got), got)
	if !got.Clean() {
		t.Errorf("lost %d, cut %d, unsent %d", got.Lost(), got.Cut(), got.Unsent())
	}
	h.serves(1)

	singleton(h, "      hold: { requests: 20, for: 800ms }\n")
	l = visitors(h)
	h.deploy(4)
	got = l.Stop()
	t.Logf("20 may wait, for 800 ms\n%s", got)
	if got.Lost() == 0 {
		t.Error("the gate was never full")
	}
	for _, lost := range got.AllLosses() {
		if lost.Phase != load.Status || !strings.Contains(lost.Err, "503") {
			t.Errorf("%+v: want an answer of 503", lost)
			break
		}
	}

	singleton(h, "      hold: off\n")
	l = visitors(h)
	h.deploy(5)
	got = l.Stop()
	t.Logf("hold: off\n%s", got)
	if got.Lost() == 0 {
		t.Error("nothing was lost: the rig is blind")
	}
}

// shutBy has a rollout's daemon kill itself while the gate is shut.
func shutBy(h *host, release int) {
	h.t.Helper()
	h.stop()
	h.boot("STEADY_CRASH_AT=start:before")
	cmd := h.command(map[string]string{"GESALP_RELEASE": fmt.Sprint(release)}, "deploy", "-y", "-d")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("deploy: %v\n%s", err, out)
	}
	select {
	case <-h.exited:
	case <-time.After(soon):
		h.t.Fatalf("the daemon did not crash\n%s", h.log)
	}
}

// A daemon that dies while the gate is shut and comes back goes on behind it: those
// who wait see nothing. One that does not come back cannot keep it shut: the lease
// opens it, and visitors are told within a moment what they would be told without
// it.
func TestHold_TheDaemonKilledWhileTheGateIsShut(t *testing.T) {
	h := hostOf(t, "hhold-crash", binary)
	singleton(h, "")
	h.deploy(1)
	l := visitors(h)
	shutBy(h, 2)
	h.boot()
	h.eventually("the rollout is over", func() bool { return h.steady("watch", "2").code == 3 })
	if r := l.Stop(); !r.Clean() {
		t.Errorf("with a daemon that comes back: lost %d, cut %d, unsent %d\n%s", r.Lost(), r.Cut(), r.Unsent(), r)
	}
	h.serves(1)

	shutBy(h, 4)
	began := time.Now()
	res, err := http.Get(h.api() + "/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	waited := time.Since(began)
	t.Logf("%s after %s, the lease is %s", res.Status, waited, steady.HoldLease)
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || waited > steady.HoldLease+5*time.Second {
		t.Errorf("%s %v after %s", res.Status, res.Header, waited)
	}
	h.boot()
	h.eventually("the rollout is over", func() bool { return h.steady("watch", "3").code == 3 })
	answers(t, h.api())
}
