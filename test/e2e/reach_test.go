package e2e

import (
	"strings"
	"testing"
)

// inside is a service whose healthcheck is a command that asks the app from within.
const inside = `  web:
    <<: *stub
    ports: ["${API_PORT}:${TARGET:-8000}", "${REPORT_PORT}:9229"]
    healthcheck: { test: ["CMD", "/app", "ok"], interval: 1s, timeout: 1s, retries: 2 }
    x-steady: { probe: { deadline: "${DEADLINE:-3s}" }, drain: { streams: 1s }, monitor: "${MONITOR:-0s}", strategy: "${STRATEGY:-start-first}" }
`

func TestReach_AReleaseThatNobodyCanReachIsRefusedWithItsCause(t *testing.T) {
	h := newHost(t, "e2e-reach")
	withStub(t, h, inside)

	refused(t, h.with(of("1", "LISTEN=127.0.0.1:8000"), "deploy", "-y"), 3, "it listens on 127.0.0.1:8000 only", "0.0.0.0:8000")
	if left := h.all(); len(left) > 0 {
		t.Errorf("left of a first deploy: %v", left)
	}
	// A first deploy wants one of the ports; that nobody listens on the other is told.
	first := h.deploy(2)
	if !strings.Contains(first.out+first.err, "warning: web-2-1: port "+h.env["REPORT_PORT"]+": nothing listens on 9229; the container listens on 8000") {
		t.Errorf("no warning:\n%s%s", first.out, first.err)
	}
	for name, c := range map[string]struct {
		env, words, hint string
		strategies       []string
	}{
		"a wrong port in the file": {"TARGET=9999", "nothing listens on 9999; the container listens on 8000", `"` + h.env["API_PORT"] + `:8000"`, []string{"start-first", "hold"}},
		"an app on loopback":       {"LISTEN=127.0.0.1:8000", "it listens on 127.0.0.1:8000 only", "0.0.0.0:8000", []string{"start-first", "hold"}},
		"an app on another port":   {"LISTEN=:8001", "nothing listens on 8000; the container listens on 8001", "8001", []string{"start-first"}},
	} {
		for _, strategy := range c.strategies {
			t.Run(name+", "+strategy, func(t *testing.T) {
				r := h.with(of("3", c.env, "STRATEGY="+strategy), "deploy", "-y")
				refused(t, r, 3, "cannot be reached at port "+h.env["API_PORT"]+": "+c.words, c.hint, "release 2 is still serving")
				if strings.Contains(r.out, "shift   web to release 3") {
					t.Errorf("it was shifted to:\n%s", r.out)
				}
				h.serves(2)
			})
		}
	}
	t.Run("an app that listens late", func(t *testing.T) {
		if r := h.with(of("3", "LISTEN_AFTER=3s", "DEADLINE=30s"), "deploy", "-y"); r.code != 0 || answers(t, h.api()) != "3" {
			t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
		}
	})
	t.Run("a rollback, and a scaling", func(t *testing.T) {
		if r := h.steady("rollback", "web"); r.code != 0 || answers(t, h.api()) != "2" {
			t.Errorf("rollback: exit %d\n%s%s", r.code, r.out, r.err)
		}
		if r := h.steady("scale", "web=2"); r.code != 0 {
			t.Errorf("scale: exit %d\n%s%s", r.code, r.out, r.err)
		}
	})
}

func TestReach_APortThatClosesInTheWatchWindowShiftsBack(t *testing.T) {
	h := newHost(t, "e2e-closes")
	withStub(t, h, inside)
	h.deploy(1)
	// Nobody asks for anything meanwhile, and the healthcheck goes on answering well.
	r := h.with(of("2", "MONITOR=20s", "CLOSE_AFTER=3s"), "deploy", "-y")
	refused(t, r, 4, "accepts no more at port "+h.env["API_PORT"])
	h.serves(1)
}
