package e2e

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady/test/inner"
	"gesalpai.ch/steady/test/load"
)

// TestAdopt_WhatDockerComposeRunsIsTakenOverUnderLoad deploys over a stack that
// docker compose up has made, while it is called at its published port and by name:
// nobody who connects anew loses anything.
func TestAdopt_WhatDockerComposeRunsIsTakenOverUnderLoad(t *testing.T) {
	h := swiftHost(t, "e2e-adopt")
	withInner(t, h, "services:\n"+called("svc", "    ports: [\"${API_PORT}:8000\"]\n")+`  db:
    image: `+serverImage+`
    volumes: [data:/data]
    ports: ["${REPORT_PORT}:8000"]
    x-steady: { probe: { kind: http, port: 8000, path: /health } }
volumes: { data: {} }
`)
	h.compose("up", "-d")
	answers(t, h.api())
	c := call(t, "e2e-adopt-caller", h.project+"_default", "load", "-http", "svc:8000", "-rate", "100")
	l := load.Start(load.Options{URL: h.api(), Rate: 150, Duration: 5 * time.Minute, WebSockets: -1, SSEs: -1,
		SlowMax: 1500 * time.Millisecond, SlowFresh: true, Mix: load.Mix{Fresh: 0.9, Slow: 0.1}})
	plan := h.with(map[string]string{"GESALP_RELEASE": "2"}, "plan")
	h.deploy(2)
	outside, inside := l.Stop(), c.report()
	t.Logf("one adoption\n%s\n%s\nwithin\n%s", plan.out, outside, table(inside))
	if outside.Lost() > 0 || outside.Unsent() > 0 {
		t.Errorf("outside, %d lost, %d unsent", outside.Lost(), outside.Unsent())
	}
	for _, kind := range inside.HTTP {
		if n := sum(kind.Lost); n > 0 && kind.Kind == "fresh" {
			t.Errorf("within, %d of %d %s lost", n, kind.Sent, kind.Kind)
		}
	}
	if got := lookup(t, h.project+"_default", "svc"); len(got) != 1 || got[0] != addressOf(t, h.holderOf("svc"), h.project+"_default") {
		t.Errorf("svc is %v, not the holder's address alone", got)
	}
	noRedirectIsLeft(t)
	h.deploy(3)
	if d := dialed(t, h.project+"_default", "svc:7000"); d.How != inner.Greeted || d.Release != 3 {
		t.Errorf("after one more rollout a connect was %+v", d)
	}
}

// noRedirectIsLeft looks for our chains in the machine's own nat table.
func noRedirectIsLeft(t *testing.T) {
	t.Helper()
	out, err := exec.Command("iptables", "-w", "5", "-t", "nat", "-S").CombinedOutput()
	if err != nil || strings.Contains(string(out), "STEADY-") {
		t.Errorf("redirects are left: %v\n%s", err, out)
	}
}
