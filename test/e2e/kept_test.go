package e2e

import (
	"strings"
	"testing"
)

// checked is a service whose healthcheck is none of its probe's business.
const checked = `  web:
    <<: *stub
    ports: ["${API_PORT}:8000"]
    environment:
      RELEASE: ${GESALP_RELEASE:-1}
      LISTEN_AFTER: ${LISTEN_AFTER:-}
      DB_PASSWORD: planted-5ecret-value
      SAY: starting with planted-5ecret-value
    healthcheck: { test: ["CMD", "/app", "${CHECK:-ok}"], interval: 1s, timeout: 5s, retries: 1 }
    x-steady: { probe: { kind: tcp, port: 8000, deadline: 30s }, drain: { streams: 1s }, monitor: "${MONITOR:-0s}" }
`

func TestKept_LogAndHealthcheckOfAFailedReleaseAndItsWatchWindow(t *testing.T) {
	h := newHost(t, "e2e-kept")
	withStub(t, h, checked)
	logged := func(release string) {
		t.Helper()
		r := h.steady("logs", "web", "--release", release)
		for _, want := range []string{"web-" + release + "-1 | starting with ***", "web-" + release + "-1 | healthcheck: curl: not found (exit code 1)"} {
			if r.code != 0 || !strings.Contains(r.out, want) {
				t.Errorf("logs of release %s lack %q: exit %d\n%s%s", release, want, r.code, r.out, r.err)
			}
		}
		if strings.Contains(r.out, "planted") {
			t.Errorf("they tell a secret:\n%s", r.out)
		}
	}
	bad := []string{"CHECK=fail", "LISTEN_AFTER=1h"}
	refused(t, h.with(of("1", bad...), "deploy", "-y"), 3, "web-1-1 is unhealthy by its own healthcheck: curl: not found (exit code 1)", "steady logs web --release 1")
	logged("1")
	h.deploy(2)
	refused(t, h.with(of("3", bad...), "deploy", "-y"), 3, "web-3-1 is unhealthy by its own healthcheck: curl: not found (exit code 1)", "release 2 is still serving")
	logged("3")
	if r := h.steady("logs", "web", "--release", "3", "--tail", "1"); strings.Count(r.out, "\n") != 1 {
		t.Errorf("the last line is\n%s", r.out)
	}
	if r := h.steady("logs", "web", "--release", "2"); r.code != 0 || !strings.Contains(r.out, "web-2-1 | starting") {
		t.Errorf("logs of what serves: exit %d\n%s%s", r.code, r.out, r.err)
	}

	refused(t, h.with(of("4", "CHECK=fail", "MONITOR=30s"), "deploy", "-y"), 4, "turned unhealthy, as its healthcheck says: curl: not found (exit code 1)")
	logged("4")
	h.serves(2)
	// What serves is unhealthy too from here on, and no release is condemned for it.
	if r := h.with(of("5", "CHECK=fail"), "deploy", "-y"); r.code != 0 {
		t.Fatalf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	h.eventually("it is unhealthy", func() bool { return strings.Contains(h.steady("status").out, "unhealthy") })
	if r := h.with(of("6", "CHECK=fail", "MONITOR=6s"), "deploy", "-y"); r.code != 0 || answers(t, h.api()) != "6" {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
}
