package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/load"
)

// app is a service, under any name, that the reference stack's api plays.
func app(name, more string) string {
	return `  ` + name + `:
    image: gesalp-api:v1
    stop_grace_period: 5s
    environment: { RELEASE: "${GESALP_RELEASE:-1}", FAIL_HEALTH: "${FAIL_HEALTH:-0}" }
    x-steady: { probe: { port: 8000, path: /health, deadline: "${DEADLINE:-20s}" }, drain: { streams: 1s } }
` + more
}

// atLoad publishes the port that the load goes to.
const atLoad = "    ports: [\"${API_PORT}:8000\"]\n"

// has writes the Compose file.
func (h *host) has(services ...string) {
	h.write("docker-compose.prod.yml", "services:\n"+strings.Join(services, "")+"volumes: { data: {} }\n")
}

// status is what status says, by service.
func (h *host) status() map[string]steady.ServiceStatus {
	h.t.Helper()
	r := h.steady("status", "--json")
	var s steady.Status
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		h.t.Fatalf("status: %v\n%s%s", err, r.out, r.err)
	}
	out := map[string]steady.ServiceStatus{}
	for _, v := range s.Services {
		out[v.Service] = v
	}
	return out
}

func wants(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in\n%s", w, text)
		}
	}
}

// TestOrphans_ARenamedServiceKeepsItsPortUnderLoad renames the service that publishes the
// port, and takes the one of the old name away at once or later: nobody notices. Taking
// the one down before the other comes is the control, which must lose.
func TestOrphans_ARenamedServiceKeepsItsPortUnderLoad(t *testing.T) {
	h := swiftHost(t, "e2e-rename")
	h.has(app("web", atLoad))
	h.deploy(1)
	l := load.Start(load.Options{URL: h.api(), Rate: 200, Duration: 10 * time.Minute, WebSockets: -1, SSEs: -1,
		Mix: load.Mix{KeepAlive: 0.4, Fresh: 0.3, Post: 0.3}})

	h.has(app("site", atLoad))
	h.env["GESALP_RELEASE"] = "2"
	plan := h.steady("plan")
	wants(t, plan.out+plan.err, h.project+"/web  hand-over", "port "+h.env["API_PORT"]+" moves to site", "web runs and is not in the Compose file any more: steady deploy --remove-orphans")
	refused(t, h.with(of("2", "FAIL_HEALTH=1", "DEADLINE=2s"), "deploy", "-y"), 3)
	if got := answers(t, h.api()); got != "1" {
		t.Errorf("after a deploy that failed release %s answers", got)
	}
	r := h.deploy(2)
	wants(t, r.out+r.err, "web runs and is not in the Compose file any more", "hands over")
	if got := answers(t, h.api()); got != "2" {
		t.Errorf("release %s answers after the rename", got)
	}
	s := h.status()
	if web := s["web"]; !web.Orphan || len(web.Ports) > 0 || len(web.Replicas) != 1 || !web.Replicas[0].Running() {
		t.Errorf("web after the rename: %+v", web)
	}
	if site := s["site"]; site.Orphan || len(site.Ports) != 1 || site.Traffic.Requests == 0 {
		t.Errorf("site after the rename: %+v", site)
	}
	wants(t, h.steady("status").err, "not in the Compose file any more: web; steady deploy --remove-orphans, or steady down web")
	h.ofAnOrphan()

	if r := h.steady("deploy", "-y", "--remove-orphans"); r.code != 0 || slices.ContainsFunc(h.all(), func(n string) bool { return strings.Contains(n, "-web-") }) {
		t.Errorf("--remove-orphans: exit %d, left %v\n%s%s", r.code, h.all(), r.out, r.err)
	}
	h.has(app("page", atLoad))
	h.deploy(3, "--remove-orphans") // both at once
	if got := h.all(); answers(t, h.api()) != "3" || slices.ContainsFunc(got, func(n string) bool { return strings.Contains(n, "-site-") }) {
		t.Errorf("renamed and removed at once: left %v", got)
	}
	h.has(app("page", ""), app("other", atLoad))
	h.deploy(4) // the port moves to one that is new, and both stay
	if got := answers(t, h.api()); got != "4" {
		t.Errorf("release %s answers after the port has moved", got)
	}
	out := l.Stop()
	t.Logf("three renames and a move\n%s", out)
	if out.Lost() > 0 || out.Unsent() > 0 {
		t.Errorf("%d lost, %d unsent", out.Lost(), out.Unsent())
	}

	l = load.Start(load.Options{URL: h.api(), Rate: 200, Duration: 10 * time.Minute, WebSockets: -1, SSEs: -1, Mix: load.Mix{Fresh: 1}})
	h.has(app("again", atLoad))
	if r := h.steady("down", "other"); r.code != 0 {
		t.Errorf("down other: exit %d\n%s%s", r.code, r.out, r.err)
	}
	h.deploy(5)
	if out := l.Stop(); out.Lost() == 0 {
		t.Errorf("the control has lost nothing: the load is blind\n%s", out)
	}
}

// ofAnOrphan tries what people do with a service that they have renamed.
func (h *host) ofAnOrphan() {
	h.t.Helper()
	if r := h.steady("logs", "web", "--tail", "1"); r.code != 0 {
		h.t.Errorf("logs: exit %d\n%s", r.code, r.err)
	}
	if r := h.steady("releases", "web"); r.code != 0 || !strings.Contains(r.out, "web") {
		h.t.Errorf("releases: exit %d\n%s%s", r.code, r.out, r.err)
	}
	r := h.steady("scale", "web=2")
	if r.code != 3 || !strings.Contains(r.err, "web asks for port "+h.env["API_PORT"]+", which is published by site by now") || !strings.Contains(r.err, "steady down site") {
		h.t.Errorf("scale: exit %d\n%s%s", r.code, r.out, r.err)
	}
	r = h.steady("rollback")
	if r.code != 2 || !strings.Contains(r.err, "there is no earlier release") || !strings.Contains(r.err, "put its old name back into the Compose file") {
		h.t.Errorf("rollback: exit %d\n%s%s", r.code, r.out, r.err)
	}
}

// inVolume mounts the named volume.
const inVolume = "    volumes: [\"data:/data\"]\n"

// TestOrphans_ARenamedDatabaseWaitsForTheOldOnesEnd renames a service that writes to a
// volume: two never write to it, its data stays, and what is asked meanwhile waits.
func TestOrphans_ARenamedDatabaseWaitsForTheOldOnesEnd(t *testing.T) {
	h := swiftHost(t, "e2e-renamed-db")
	tool := app("tool", "    profiles: [tools]\n")
	h.has(app("db", atLoad+inVolume), tool)
	h.deploy(1, "--profile", "tools")
	writeMark(t, h.replica("db"), "kept")
	if r := h.steady("plan"); strings.Contains(r.out+r.err, "not in the Compose file") {
		t.Errorf("a service whose profile is not active is called an orphan:\n%s%s", r.out, r.err)
	}

	h.has(app("database", atLoad+inVolume), tool)
	refused(t, h.with(of("2"), "deploy", "-y"), 3, "db is not in the Compose file any more, but its container "+h.replica("db")+" writes to "+h.project+"_data", "steady deploy --remove-orphans")
	l := load.Start(load.Options{URL: h.api(), Rate: 100, Duration: 10 * time.Minute, WebSockets: -1, SSEs: -1,
		Mix: load.Mix{KeepAlive: 0.4, Fresh: 0.3, Post: 0.3}})
	failed := h.with(of("2", "FAIL_HEALTH=1", "DEADLINE=2s"), "deploy", "-y", "--remove-orphans")
	if got := answers(t, h.api()); failed.code == 0 || got != "1" {
		t.Errorf("a failed rename: exit %d, release %s answers\n%s%s", failed.code, got, failed.out, failed.err)
	}
	r := h.deploy(3, "--remove-orphans")
	if got := answers(t, h.api()); got != "3" {
		t.Errorf("release %s answers\n%s%s", got, r.out, r.err)
	}
	out := l.Stop()
	t.Logf("a rename that failed and one that did not\n%s", out)
	if out.Lost() > 0 || out.Unsent() > 0 {
		t.Errorf("%d lost, %d unsent", out.Lost(), out.Unsent())
	}
	fresh := h.project + "-database-3-1"
	if got, _ := mark(t, fresh); got != "kept" {
		t.Errorf("the volume holds %q", got)
	}

	if r := h.steady("down", "nothing"); r.code != 2 || !strings.Contains(r.err, "nothing of "+h.project+"/nothing is there") {
		t.Errorf("down of no service: exit %d\n%s", r.code, r.err)
	}
	if r := h.steady("down", "tool"); r.code != 0 || !slices.Equal(h.containers(), []string{fresh}) || answers(t, h.api()) != "3" {
		t.Errorf("down tool: exit %d, left %v\n%s%s", r.code, h.containers(), r.out, r.err)
	}
	if r := h.steady("down", "database"); r.code != 0 || len(h.all()) > 0 || len(listed(t, "volume", "ls", "-q", "--filter", "name="+h.project+"_data")) != 1 {
		t.Errorf("down database: exit %d, left %v\n%s%s", r.code, h.all(), r.out, r.err)
	}
	h.deploy(4)
	if r := h.steady("down", "database", "--volumes"); r.code != 0 || len(listed(t, "volume", "ls", "-q", "--filter", "name="+h.project+"_data")) != 0 {
		t.Errorf("down database --volumes: exit %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestOrphans_WhatDockerComposeRunsIsTakenOverUnderAnotherName has a container that
// publishes the port itself give it to a service of another name.
func TestOrphans_WhatDockerComposeRunsIsTakenOverUnderAnotherName(t *testing.T) {
	h := swiftHost(t, "e2e-renamed-adopt")
	h.has(app("web", atLoad))
	h.compose("up", "-d")
	answers(t, h.api())
	h.has(app("site", atLoad))
	refused(t, h.with(of("2"), "deploy", "-y"), 3, "web is not in the Compose file any more, but its container", "publishes port "+h.env["API_PORT"]+", which site shall have", "steady deploy --remove-orphans")
	l := load.Start(load.Options{URL: h.api(), Rate: 100, Duration: 5 * time.Minute, WebSockets: -1, SSEs: -1, Mix: load.Mix{Fresh: 1}})
	h.deploy(2, "--remove-orphans")
	out := l.Stop()
	t.Logf("a takeover\n%s", out)
	if out.Lost() > 0 || out.Unsent() > 0 {
		t.Errorf("%d lost, %d unsent", out.Lost(), out.Unsent())
	}
	if got := h.containers(); answers(t, h.api()) != "2" || len(got) != 1 {
		t.Errorf("left: %v", got)
	}
	noRedirectIsLeft(t)
}
