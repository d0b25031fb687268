package e2e

import (
	"os"
	"strings"
	"testing"
)

// behindVPN is an app that lives in the network of a service which publishes its port,
// and another that names that service's container. more stands in the app.
func behindVPN(t *testing.T, h *host, more string) {
	t.Helper()
	withStub(t, h, `  vpn:
    <<: *stub
    container_name: `+h.project+`-gateway
    ports: ["${API_PORT}:8000"]
    environment: { LISTEN: "none", VPN: "${VPN:-1}" }
  app:
    image: gesalp-api:v1
    network_mode: service:vpn
    stop_grace_period: 5s
    environment: { RELEASE: "${GESALP_RELEASE:-1}" }
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
// in its network, for the first time, anew, with another VPN and with another app, and
// restarts the VPN behind steady's back.
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

	vpn, app := h.only("vpn"), h.only("app")
	docker(t, "restart", "-t", "1", vpn)
	h.eventually("the app is in the network of the VPN that was restarted", func() bool {
		at := network(t, vpn)
		return at != "" && at == network(t, app)
	})
	h.eventually("it answers", func() bool {
		release, err := ask(t.Context(), h.api()+"/echo")
		return err == nil && release == "1"
	})
	if r := h.deploy(1); !strings.Contains(r.out+r.err, "unchanged") {
		t.Errorf("all is well again, and a deploy says\n%s%s", r.out, r.err)
	}

	behindVPN(t, h, "    volumes: [\"data:/data\"]\n")
	h.deploy(1)
	h.env["VPN"] = "3"
	h.underLoad("a pair of which one writes to a volume", 1)
	inVPN(t, h)
}

// underLoad deploys while visitors ask 200 times a second, and loses nothing.
func (h *host) underLoad(what string, release int) {
	h.t.Helper()
	l := visitors(h)
	h.deploy(release)
	if r := l.Stop(); !r.Clean() {
		h.t.Errorf("%s: lost %d, cut %d, unsent %d\n%s", what, r.Lost(), r.Cut(), r.Unsent(), r)
	}
}
