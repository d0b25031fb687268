package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady/test/load"
)

// lodger is an image of an app that declares the port which it opens, as those do that
// are put behind a VPN.
func lodger(t *testing.T) string {
	t.Helper()
	const ref = "lodger:e2e"
	cmd := exec.Command("docker", "build", "-q", "-t", ref, "-")
	cmd.Stdin = strings.NewReader("FROM gesalp-api:v1\nEXPOSE 8000\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", ref, err, out)
	}
	return ref
}

// behindVPN is an app that lives in the network of a service which publishes its port,
// and an agent that names that service's container. more stands in the app.
func behindVPN(t *testing.T, h *host, more string) {
	t.Helper()
	withStub(t, h, `  vpn:
    <<: *stub
    container_name: `+h.project+`-gateway
    ports: ["${API_PORT}:8000"]
    environment: { LISTEN: "none", VPN: "${VPN:-1}" }
    x-steady: { hold: { requests: 5000, for: 60s } }
  app:
    image: `+lodger(t)+`
    network_mode: service:vpn
    stop_grace_period: 5s
    environment: { RELEASE: "${GESALP_RELEASE:-1}", EXIT_AT_START: "${EXIT_AT_START:-0}", START_DELAY: "${START_DELAY:-0s}" }
    x-steady: { drain: { streams: 1s }, hold: "${HOLD:-on}" }
`+more+`
  agent:
    <<: *stub
    network_mode: container:`+h.project+`-gateway
    environment: { LISTEN: "127.0.0.1:8001" }
volumes: { data: {} }
`)
}

// network is the network namespace in which a container's first process lives; empty
// where it does not run.
func network(t *testing.T, container string) string {
	t.Helper()
	pid := listed(t, "inspect", "-f", "{{.State.Pid}}", container)[0]
	at, err := os.Readlink("/proc/" + pid + "/ns/net")
	if err != nil && pid != "0" {
		t.Logf("the network of %s: %v", container, err)
	}
	return at
}

// only is the one container of a service.
func (h *host) only(service string) string {
	h.t.Helper()
	all := listed(h.t, "ps", "-a", "--format", "{{.Names}}", "--filter", "label=com.docker.compose.project="+h.project, "--filter", "label=com.docker.compose.service="+service,
		"--filter", "label=com.docker.compose.container-number")
	if len(all) != 1 {
		h.t.Fatalf("containers of %s: %v, want one", service, all)
	}
	return all[0]
}

// inVPN checks that all lives in the VPN's network.
func inVPN(t *testing.T, h *host) {
	t.Helper()
	host := network(t, h.only("vpn"))
	for _, service := range []string{"app", "agent"} {
		if got := network(t, h.only(service)); got != host || got == "" {
			t.Errorf("%s lives in %q, and vpn in %q", service, got, host)
		}
	}
}

// TestShared_WhatLivesInAnothersNetworkFollowsIt deploys a VPN with an app and an agent
// in its network, then another VPN, another app and both again, restarts and removes the
// VPN behind steady's back, and loses nothing but where nobody is to wait.
func TestShared_WhatLivesInAnothersNetworkFollowsIt(t *testing.T) {
	h := swiftHost(t, "e2e-shared")
	behindVPN(t, h, "")
	h.deploy(1)
	inVPN(t, h)
	if got := answers(t, h.api()); got != "1" {
		t.Errorf("release %s answers", got)
	}

	h.env["VPN"] = "2"
	if r := h.steady("plan"); !strings.Contains(r.out, "it shares vpn's network and is replaced with it") {
		t.Errorf("the plan does not say that they follow:\n%s%s", r.out, r.err)
	}
	h.underLoad("a pair that can stand beside the old one", 1)
	inVPN(t, h)

	vpn := h.only("vpn")
	h.underLoad("another app behind the same VPN", 2)
	if got := h.only("vpn"); got != vpn || answers(t, h.api()) != "2" {
		t.Errorf("the VPN is %s, and was %s", got, vpn)
	}
	inVPN(t, h)

	app := h.only("app")
	l := fewVisitors(h)
	refused(t, h.with(of("3", "EXIT_AT_START=1"), "deploy", "-y"), 3, "exited with code")
	if r := l.Stop(); !r.Clean() {
		t.Errorf("an app that does not start: lost %d, cut %d, unsent %d\n%s", r.Lost(), r.Cut(), r.Unsent(), r)
	}
	if got := h.only("app"); got != app {
		t.Errorf("after an undo the app is %s, and was %s", got, app)
	}
	inVPN(t, h)

	docker(t, "restart", "-t", "1", vpn)
	h.eventually("the app is in the network of the VPN that was restarted", func() bool {
		at := network(t, vpn)
		return at != "" && at == network(t, app)
	})
	h.answersAgain("2")
	if r := h.deploy(2); !strings.Contains(r.out+r.err, "unchanged") {
		t.Errorf("all is well again, and a deploy says\n%s%s", r.out, r.err)
	}

	docker(t, "rm", "-f", vpn)
	h.deploy(2)
	inVPN(t, h)
	h.answersAgain("2")
}

// TestShared_APairThatWritesIsHeld: of a VPN and an app that writes to a volume all goes
// before the new ones start, at every release and at a rollback. Nobody waits where the
// file says so, and then visitors are lost, which is the positive control.
func TestShared_APairThatWritesIsHeld(t *testing.T) {
	h := swiftHost(t, "e2e-shared-held")
	behindVPN(t, h, "    volumes: [\"data:/data\"]\n")
	h.compose("up", "-d", "vpn", "app")
	h.compose("up", "-d", "agent")
	h.deploy(1)
	inVPN(t, h)
	h.answersAgain("1")

	h.env["VPN"] = "2"
	h.underLoad("another VPN", 1)
	inVPN(t, h)
	l := fewVisitors(h)
	h.must("rollback", "vpn")
	if r := l.Stop(); !r.Clean() {
		t.Errorf("a rollback of the VPN: lost %d, cut %d, unsent %d\n%s", r.Lost(), r.Cut(), r.Unsent(), r)
	}
	inVPN(t, h)

	h.env["HOLD"] = "off"
	h.env["VPN"] = "1"
	h.deploy(1)
	l = fewVisitors(h)
	h.env["START_DELAY"] = "2s"
	h.deploy(2)
	h.answersAgain("2")
	if r := l.Stop(); r.Clean() {
		t.Error("nobody was to wait, and nothing is lost: the loads prove nothing")
	}
	inVPN(t, h)
}

// answersAgain waits until the release answers.
func (h *host) answersAgain(release string) {
	h.t.Helper()
	h.eventually("release "+release+" answers", func() bool {
		got, err := ask(h.t.Context(), h.api()+"/echo")
		return err == nil && got == release
	})
}

// fewVisitors ask 50 times a second: two containers that stop and start one after the
// other keep all of them waiting, which takes some seconds on a busy machine.
func fewVisitors(h *host) *load.Running {
	return load.Start(load.Options{URL: h.api(), Rate: 50, Duration: time.Hour, Timeout: 2 * time.Minute, WebSockets: -1, SSEs: -1, Conns: 500, InFlight: 3000,
		Mix: load.Mix{KeepAlive: 0.4, Fresh: 0.3, Post: 0.3}})
}

// underLoad deploys while visitors ask, and loses nothing.
func (h *host) underLoad(what string, release int) {
	h.t.Helper()
	l := fewVisitors(h)
	h.deploy(release)
	if r := l.Stop(); !r.Clean() {
		h.t.Errorf("%s: lost %d, cut %d, unsent %d\n%s", what, r.Lost(), r.Cut(), r.Unsent(), r)
	}
}
