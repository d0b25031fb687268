package e2e

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/control"
	"gesalpai.ch/steady/test/inner"
	"gesalpai.ch/steady/test/load"
)

const calledAndQueue = `  queue:
    image: gesalp-queue:v1
    environment: { RELEASE: "${GESALP_RELEASE:-1}" }
    healthcheck: { test: [CMD, /app, health], interval: 10s }
    x-steady:
      drain: { streams: 500ms }
`

// TestInner_RolloutsOfServicesCalledByNameLoseNothing rolls out a service
// and a NATS server while a container calls both by name: no HTTP request is
// lost, no connect fails, and each connection that was ended under the caller's
// hands stands in a rollout's receipt.
func TestInner_RolloutsOfServicesCalledByNameLoseNothing(t *testing.T) {
	h := swiftHost(t, "e2e-inner")
	withInner(t, h, "services:\n"+called("svc", "")+calledAndQueue)
	h.deploy(1)
	c := call(t, "e2e-inner-caller", h.project+"_default",
		"load", "-http", "svc:8000", "-tcp", "svc:7000", "-nats", "nats://queue:4222", "-rate", "200")
	var told steady.Drained
	n := rollouts(t, 10)
	for release := 2; release <= n+1; release++ {
		events := h.events(map[string]string{"GESALP_RELEASE": fmt.Sprint(release)})
		for _, s := range events[len(events)-1].Receipt.Services {
			told = told.Plus(s.Drained)
			if s.To != release {
				t.Errorf("%s went to release %d, want %d", s.Service, s.To, release)
			}
		}
	}
	h.env["GESALP_RELEASE"] = fmt.Sprint(n + 1)
	r := c.report()
	t.Logf("%d rollouts\n%sdrained %+v", n, table(r), told)
	blameless(t, r)
	if ends := r.Ends(); ends != told.StreamsClosed+told.StreamsQuiet+told.StreamsCut {
		t.Errorf("%d connections were ended, the receipts tell of %d", ends, told.StreamsClosed+told.StreamsQuiet+told.StreamsCut)
	}
	if r.Of("long").Asked == 0 || r.Of("nats").Asked == 0 || r.Of("short").Asked == 0 || r.Ends() == 0 {
		t.Error("a kind of client did nothing")
	}
}

// blameless checks all that must hold whatever was rolled out.
func blameless(t *testing.T, r inner.Report) {
	t.Helper()
	if n := r.Lost(); n > 0 || r.Sent() == 0 {
		t.Errorf("%d of %d requests lost", n, r.Sent())
	}
	if n := r.Failed(); n > 0 {
		t.Errorf("%d TCP connects failed", n)
	}
	if n := r.Wrong(); n > 0 {
		t.Errorf("%d answers of a release that had been replaced", n)
	}
	if n := r.Unsent(); n > 0 {
		t.Errorf("%d due, but never begun", n)
	}
	for _, e := range r.Of("short").Lost {
		if e > 0 {
			t.Errorf("%d short TCP exchanges lost", e)
		}
	}
}

// TestInnerControl_AliasesOnContainersLose is the positive control: the same
// callers, the new container ready before the old one is stopped, and the name
// on the containers, as plain Compose has it.
func TestInnerControl_AliasesOnContainersLose(t *testing.T) {
	needInner(t)
	const network = "e2e-inner-alias"
	_ = exec.Command("docker", "network", "rm", network).Run() // of a run that was killed
	docker(t, "network", "create", network)
	t.Cleanup(func() { docker(t, "network", "rm", network) })
	named := func(release int) {
		name := fmt.Sprintf("%s-%d", network, release)
		_ = exec.Command("docker", "rm", "-f", name).Run()
		docker(t, "run", "-d", "--name", name, "--network", network, "--network-alias", "svc", "-e", fmt.Sprintf("RELEASE=%d", release), serverImage)
		t.Cleanup(func() { _ = exec.Command("docker", "rm", "-f", name).Run() })
		answers(t, "http://"+addressOf(t, name, network)+":8000")
	}
	named(1)
	c := call(t, network+"-caller", network, "load", "-http", "svc:8000", "-tcp", "svc:7000", "-rate", "200", "-timeout", "5s")
	for release := 2; release <= 4; release++ {
		named(release)
		docker(t, "stop", fmt.Sprintf("%s-%d", network, release-1))
	}
	r := c.report()
	t.Logf("three replacements\n%s", table(r))
	if r.Lost() == 0 {
		t.Error(control.ErrBlind)
	}
}

// neighbours has every service of the stack called by api in its requests. ollama
// and queue write to volumes: what comes to them waits while they are replaced. Who
// has a connection open to queue must open another, and waits there.
const neighbours = `x-steady:
  drain: { streams: 1s }
`

func TestInner_TheWholeStackUnderLoadLosesNothingThoughApiCallsItAll(t *testing.T) {
	h := swiftHost(t, "e2e-inner-stack")
	h.write("override.yml", neighbours)
	h.deploy(1, "all")
	l := load.Start(load.Options{URL: h.api(), Rate: 60, Duration: 5 * time.Minute, WebSockets: -1, SSEs: -1, InFlight: 512, Conns: 64,
		Mix:   load.Mix{KeepAlive: 0.5, Fresh: 0.2, Slow: 0.2, Post: 0.1},
		Paths: load.Paths{KeepAlive: "/ask/report", Fresh: "/ask/ollama", Slow: "/ask/queue"}})
	for release := 2; release <= 3; release++ {
		h.deploy(release, "all")
	}
	r := l.Stop()
	t.Logf("two rollouts of the whole stack\n%s", r)
	if !r.Clean() {
		t.Errorf("lost %d, unsent %d", r.Lost(), r.Unsent())
	}
	if wrong := r.Judge(r.Ascending()...); len(wrong) > 0 {
		t.Errorf("%d answers of the wrong release, the first %+v", len(wrong), wrong[0])
	}
}
