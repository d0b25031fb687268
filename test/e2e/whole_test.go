package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
	"gesalpai.ch/steady/test/load"
)

var wholeStack = []string{"api", "web", "mail"}

// whole is a stack of three services that are released as one, each watched for a
// while; the third has two replicas.
func whole(h *host) {
	h.t.Helper()
	text := "services:\n"
	for i, s := range wholeStack {
		port := fmt.Sprintf("PORT_%d", i)
		h.env[port] = freePort(h.t)
		replicas, watch := 1, "1s"
		if s == "mail" {
			replicas, watch = 2, "60s"
		}
		text += fmt.Sprintf(`  %s:
    image: gesalp-api:v1
    ports: ["${%s}:8000"]
    stop_grace_period: 5s
    environment: { RELEASE: "${GESALP_RELEASE:-1}" }
    deploy: { replicas: %d, update_config: { order: start-first, monitor: "${WATCH:-%s}", failure_action: rollback } }
    x-steady: { probe: { path: /health }, drain: { streams: 1s } }
`, s, port, replicas, watch)
	}
	h.write("docker-compose.prod.yml", text)
}

// pids tells the first process of each of the project's containers.
func (h *host) pids() map[string]string {
	out := map[string]string{}
	for _, name := range h.containers() {
		pid, err := exec.Command("docker", "inspect", "--format", "{{.State.Pid}}", name).Output()
		if err != nil { // it has gone
			continue
		}
		out[name] = strings.TrimSpace(string(pid))
	}
	return out
}

// sampled looks at the proxy's table again and again, and tells which releases it
// found side by side in the pools of published ports; "1" and "2" are whole.
func (h *host) sampled(stop <-chan struct{}) map[string]int {
	c := proxy.NewClient(filepath.Join(h.run, "proxy.sock"))
	seen := map[string]int{}
	for {
		select {
		case <-stop:
			return seen
		default:
		}
		table, err := c.Table(h.t.Context())
		if err != nil {
			continue
		}
		var releases []string
		for _, p := range table.Pools {
			for _, u := range p.Upstreams {
				releases = append(releases, fmt.Sprint(u.Release))
			}
		}
		slices.Sort(releases)
		seen[strings.Join(slices.Compact(releases), "+")]++
	}
}

// moves tells which steps of a kind the rollout took, in order.
func (h *host) moves(rollout int, kind string) []string {
	h.t.Helper()
	var out []string
	for _, e := range h.eventsOf(rollout) {
		if e.Kind == steady.EventStep && e.Step == kind {
			out = append(out, e.StepID)
		}
	}
	return out
}

// TestWhole_ThreeServicesGoBackInOneMoveWhenTheThirdFailsItsWatch: all are shifted
// together; the third loses a replica in its watch window, when the others' windows
// are over long since. All three go back in one move, no visitor loses anything, and
// no old container was ever stopped.
func TestWhole_ThreeServicesGoBackInOneMoveWhenTheThirdFailsItsWatch(t *testing.T) {
	h := newHost(t, "hstack-whole")
	whole(h)
	h.env["WATCH"] = "0s"
	h.deploy(1)
	delete(h.env, "WATCH")
	before := h.pids()
	var loads []*load.Running
	for i, s := range wholeStack {
		o := load.Options{URL: "http://127.0.0.1:" + h.env[fmt.Sprintf("PORT_%d", i)], Rate: 60, Duration: 5 * time.Minute, WebSockets: -1, SSEs: -1,
			Mix: load.Mix{KeepAlive: 0.4, Fresh: 0.3, Post: 0.3}}
		if s == "mail" { // what can be sent twice: one of its two replicas dies
			o.Mix = load.Mix{KeepAlive: 0.6, Fresh: 0.4}
		}
		loads = append(loads, load.Start(o))
	}
	stop := make(chan struct{})
	var seen map[string]int
	var sampling sync.WaitGroup
	sampling.Go(func() { seen = h.sampled(stop) })

	ordered := time.Now()
	if r := h.with(map[string]string{"GESALP_RELEASE": "2"}, "deploy", "-y", "-d"); r.code != 0 {
		t.Fatalf("deploy: exit %d\n%s", r.code, r.err)
	}
	h.eventually("the others' watch windows are over", func() bool {
		out := h.steady("lock", "show", "--json").out
		return len(h.pids()) == 8 && strings.Contains(out, `"rollout":2`) && len(h.watched("2")) == 2
	})
	killed := time.Now()
	die(t, h.project+"-mail-2-1")
	r := h.steady("watch", "2")
	done := time.Now()
	close(stop)
	sampling.Wait()
	if r.code != 4 || !strings.Contains(r.err, "exited with code 137") || !strings.Contains(r.err, "mail") {
		t.Errorf("exit %d, want 4\n%s", r.code, r.err)
	}
	turns := []load.Shift{{Release: 1}, {Release: 2, From: ordered}, {Release: 1, From: killed, Done: done}}
	for i, l := range loads {
		rep := l.Stop()
		t.Logf("%s: %d sent, %d lost", wholeStack[i], rep.Sent(), rep.Lost())
		if !rep.Clean() {
			t.Errorf("%s lost %d:\n%s", wholeStack[i], rep.Lost(), rep)
		}
		if wrong := rep.Judge(turns...); len(wrong) > 0 {
			t.Errorf("%s: %d answers of the wrong release, the first %+v", wholeStack[i], len(wrong), wrong[0])
		}
	}
	t.Logf("table looked at: %v; back %s after the death", seen, done.Sub(killed).Round(time.Millisecond))
	if seen["1"] == 0 || seen["2"] == 0 || len(seen) != 2 {
		t.Errorf("the table had %v: want release 1 or 2, never both", seen)
	}
	if got := h.moves(2, steady.StepShift); !slices.Equal(got, []string{"shift", "undo/shift"}) {
		t.Errorf("moves %v", got)
	}
	after := h.pids()
	if len(after) != len(before) {
		t.Errorf("containers %v, before %v", after, before)
	}
	for name, pid := range before {
		if after[name] != pid {
			t.Errorf("%s: process %s, was %s: it was stopped", name, after[name], pid)
		}
	}
}

// watched lists the watch windows of a rollout that are over.
func (h *host) watched(rollout string) []string {
	h.t.Helper()
	cmd := h.command(nil, "watch", rollout, "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var over []string
	d := json.NewDecoder(out)
	for len(over) < 2 {
		var e steady.Event
		if d.Decode(&e) != nil {
			return over
		}
		if e.Kind == steady.EventStep && e.Step == steady.StepWatch {
			over = append(over, e.StepID)
		}
	}
	return over
}
