package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"gesalpai.ch/steady/test/load"
)

// TestCrash_TheDaemonKilledAtEachStepLosesNothing kills the daemon before and
// after each kind of step under load, boots it again, and expects one release,
// whole, with nothing lost at the clients.
func TestCrash_TheDaemonKilledAtEachStepLosesNothing(t *testing.T) {
	h := newHost(t, "e2e-crash")
	small(h, "")
	h.deploy(1)
	l := load.Start(load.Options{URL: h.api(), Rate: 100, Duration: 10 * time.Minute, WebSockets: -1, SSEs: -1,
		Mix: load.Mix{KeepAlive: 0.4, Fresh: 0.3, Post: 0.3}})
	release := 1
	for _, step := range []string{"create", "start", "holder", "probe", "shift", "drain", "stop", "remove"} {
		for _, when := range []string{"before", "after"} {
			release++
			crash(h, release, step+":"+when)
		}
	}
	r := l.Stop()
	t.Logf("16 crashes\n%s", r)
	if !r.Clean() {
		t.Errorf("lost %d, unsent %d", r.Lost(), r.Unsent())
	}
}

func crash(h *host, release int, at string) {
	h.t.Helper()
	h.stop()
	h.boot("STEADY_CRASH_AT=" + at)
	cmd := h.command(map[string]string{"GESALP_RELEASE": fmt.Sprint(release)}, "deploy", "-y", "-d")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("deploy until %s: %v\n%s", at, err, out)
	}
	select {
	case <-h.exited:
	case <-time.After(soon):
		h.t.Fatalf("the daemon did not crash at %s\n%s", at, h.log)
	}
	h.boot()
	h.eventually("the rollout is over after "+at, func() bool {
		w := h.steady("watch", fmt.Sprint(release))
		return w.code == 0 || w.code == 3 || w.code == 4
	})
	got := h.containers()
	old, new := fmt.Sprintf("%s-web-", h.project), fmt.Sprintf("%s-web-%d-1", h.project, release)
	if len(got) != 1 || got[0] != new && got[0][:len(old)] != old {
		h.t.Errorf("after a crash at %s: containers %v", at, got)
	}
	slices.Sort(got)
	answers(h.t, h.api())
}
