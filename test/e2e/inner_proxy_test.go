package e2e

import (
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady/test/inner"
	"gesalpai.ch/steady/test/load"
)

const proxyKills = 20

// TestInner_TheProxyKilledRefusesNobody kills the proxy again and again while it
// is called from outside and from within: connections wait until the next proxy
// takes them. What was in flight dies with it, and is logged.
func TestInner_TheProxyKilledRefusesNobody(t *testing.T) {
	h := swiftHost(t, "e2e-inner-kill")
	withInner(t, h, "services:\n"+called("svc", "    ports: [\"${API_PORT}:8000\"]\n"))
	h.deploy(1)
	answers(t, h.api())
	c := call(t, "e2e-inner-kill-caller", h.project+"_default", "load", "-http", "svc:8000", "-tcp", "svc:7000", "-rate", "200")
	l := load.Start(load.Options{URL: h.api(), Rate: 200, Duration: 5 * time.Minute, WebSockets: -1, SSEs: -1})
	for range proxyKills {
		killProxy(h)
		answers(t, h.api())
		if d := dialed(t, h.project+"_default", "svc:7000"); d.How != inner.Greeted {
			t.Errorf("within, a connect was %+v", d)
		}
	}
	outside, inside := l.Stop(), c.report()
	t.Logf("%d kills\noutside\n%s\nwithin\n%s", proxyKills, outside, table(inside))
	refused := 0
	for _, lost := range outside.AllLosses() {
		if lost.Phase == load.Refused || lost.Phase == load.Connect {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("outside, %d connects were refused", refused)
	}
	refused = inside.LostIn(inner.PhaseRefused, inner.PhaseConnect) + inside.Failed(inner.PhaseRefused, inner.PhaseConnect)
	if refused > 0 {
		t.Errorf("within, %d connects were refused", refused)
	}
	t.Logf("in flight and lost: outside %d, within %d requests and %d TCP connections; cut %d",
		outside.Lost(), inside.Lost(), inside.Failed(inner.PhaseGreeting), inside.Ends())
	if outside.Unsent()+inside.Unsent() > 0 {
		t.Errorf("%d and %d due, but never begun", outside.Unsent(), inside.Unsent())
	}
}

// killProxy kills it and waits for the next one.
func killProxy(h *host) {
	h.t.Helper()
	old := h.proxyPID()
	if old <= 0 {
		h.t.Fatal("no proxy answers")
	}
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
	h.eventually("another proxy answers", func() bool {
		pid := h.proxyPID()
		return pid > 0 && pid != old
	})
}
