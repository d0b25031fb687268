package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady/test/load"
)

func TestRollback_ReturnsFilesEnvironmentAndImageUnderLoad(t *testing.T) {
	h := newHost(t, "e2e-back")
	small(h, "")
	h.deploy(1)
	h.deploy(2)
	l := load.Start(load.Options{URL: h.api(), Rate: 200, Duration: time.Minute, WebSockets: -1, SSEs: -1})
	if r := h.steady("rollback", "web"); r.code != 0 {
		t.Fatalf("rollback: exit %d\n%s", r.code, r.err)
	}
	h.serves(1)
	if r := h.steady("rollback", "--to", "2"); r.code != 0 {
		t.Fatalf("rollback --to 2: exit %d\n%s", r.code, r.err)
	}
	h.serves(2)
	if r := l.Stop(); !r.Clean() {
		t.Errorf("lost under load:\n%s", r)
	}
	list := h.steady("releases")
	if list.code != 0 || strings.Count(list.out, "web") != 2 {
		t.Errorf("releases:\n%s%s", list.out, list.err)
	}
}

func TestScale_UpAndDownUnderLoadLosesNothing(t *testing.T) {
	h := newHost(t, "e2e-scale")
	small(h, "")
	h.deploy(1)
	l := load.Start(load.Options{URL: h.api(), Rate: 200, Duration: time.Minute, WebSockets: -1, SSEs: -1})
	for _, n := range []int{3, 1} {
		if r := h.steady("scale", fmt.Sprintf("web=%d", n)); r.code != 0 {
			t.Fatalf("scale to %d: exit %d\n%s", n, r.code, r.err)
		}
		if got := h.containers(); len(got) != n {
			t.Errorf("containers %v, want %d", got, n)
		}
	}
	if r := l.Stop(); !r.Clean() {
		t.Errorf("lost under load:\n%s", r)
	}
}

func TestUpdateConfig_OneAtATimeUnderLoad(t *testing.T) {
	h := newHost(t, "e2e-batch")
	small(h, "    deploy:\n      replicas: 3\n      update_config: { parallelism: 1, delay: 200ms, monitor: 500ms, order: start-first }\n")
	h.deploy(1)
	l := load.Start(load.Options{URL: h.api(), Rate: 200, Duration: time.Minute, WebSockets: -1, SSEs: -1})
	h.deploy(2)
	r := l.Stop()
	if !r.Clean() {
		t.Errorf("lost under load:\n%s", r)
	}
	if got := h.containers(); len(got) != 3 || answers(t, h.api()) != "2" {
		t.Errorf("containers %v", got)
	}
}

func TestUpdateConfig_MonitorShiftsBackWhenTheNewReleaseDies(t *testing.T) {
	h := newHost(t, "e2e-watch-dies")
	small(h, "    deploy:\n      update_config: { monitor: 30s }\n")
	h.env["GESALP_RELEASE"] = "1"
	if r := h.steady("deploy", "-y"); r.code != 0 { // nothing to watch beside: it takes its window all the same
		t.Fatalf("exit %d\n%s", r.code, r.err)
	}
	cmd := h.command(map[string]string{"GESALP_RELEASE": "2"}, "deploy", "-y")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually("release 2 serves", func() bool { return answers(t, h.api()) == "2" })
	docker(t, "kill", h.project+"-web-2-1")
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 4 {
		t.Errorf("exit %d, want 4", code)
	}
	h.serves(1)
}

func TestStatus_TellsTheSameToPeopleAndMachines(t *testing.T) {
	h := newHost(t, "e2e-status")
	small(h, "")
	h.deploy(1)
	answers(t, h.api())
	var s struct {
		Services []struct {
			Service  string
			Release  int
			Replicas []struct {
				Name   string
				Routed bool
			}
			Traffic struct{ Requests, Lost int }
		}
	}
	r := h.steady("status", "--json")
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		t.Fatalf("%v\n%s", err, r.out)
	}
	if len(s.Services) != 1 || s.Services[0].Release != 1 || !s.Services[0].Replicas[0].Routed || s.Services[0].Traffic.Requests == 0 {
		t.Errorf("status %+v", s)
	}
	if people := h.steady("ps").out; !strings.Contains(people, "web") || !strings.Contains(people, h.env["API_PORT"]) {
		t.Errorf("status:\n%s", people)
	}
	if logs := h.steady("logs", "web", "--tail", "5", "--release", "1"); logs.code != 0 || !strings.Contains(logs.out, "web") {
		t.Errorf("logs: exit %d\n%s%s", logs.code, logs.out, logs.err)
	}
	if plan := h.with(map[string]string{"GESALP_RELEASE": "2"}, "plan"); plan.code != 0 || !strings.Contains(plan.out, "start-first") {
		t.Errorf("plan: exit %d\n%s%s", plan.code, plan.out, plan.err)
	}
	h.serves(1)
}
