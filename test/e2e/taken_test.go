package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gesalpai.ch/steady/test/inner"
)

// TestTaken_WhatIsTakenFromUnderAServiceComesBack removes and disconnects what a
// service stands on, and waits until it is called by its name as before.
func TestTaken_WhatIsTakenFromUnderAServiceComesBack(t *testing.T) {
	h := newHost(t, "e2e-taken")
	withInner(t, h, "services:\n"+called("svc", "    ports: [\"${API_PORT}:8000\"]\n    networks: [default, back]\n")+"networks: { back: {} }\n")
	h.deploy(1)
	front, back := h.project+"_default", h.project+"_back"
	holder, replica := h.holderOf("svc"), h.replica("svc")
	serves := func(after string) {
		t.Helper()
		h.eventually("svc is called by its name after "+after, func() bool {
			return greeted(front) && greeted(back)
		})
		answers(t, h.api())
	}
	serves("the deploy")
	docker(t, "rm", "-f", holder)
	serves("its holder was removed")
	docker(t, "stop", "-t", "0", holder)
	serves("its holder was stopped")
	docker(t, "network", "disconnect", "-f", front, holder)
	serves("its holder was disconnected")
	docker(t, "network", "disconnect", "-f", front, replica)
	serves("its replica was disconnected")
	for _, name := range listed(t, "network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{end}}", back) {
		_ = exec.Command("docker", "network", "disconnect", "-f", back, name).Run() // it may have been brought back already
	}
	_ = exec.Command("docker", "network", "rm", back).Run()
	serves("a network was removed")

	if r := h.deploy(1); !strings.Contains(r.out+r.err, "unchanged") {
		t.Errorf("all is there again, and a deploy says\n%s%s", r.out, r.err)
	}
	routed := func() bool {
		var s struct {
			Services []struct {
				Replicas []struct{ Routed bool }
			}
		}
		out := h.steady("status", "--json").out
		if err := json.Unmarshal([]byte(out), &s); err != nil || len(s.Services) != 1 || len(s.Services[0].Replicas) != 1 {
			t.Fatalf("status: %v\n%s", err, out)
		}
		return s.Services[0].Replicas[0].Routed
	}
	if !routed() {
		t.Error("what answers is not routed")
	}
	docker(t, "stop", replica)
	h.eventually("a stopped replica is not routed", func() bool { return !routed() })
	docker(t, "start", replica)
	serves("its replica was stopped and started")
	h.eventually("it is routed again", routed)
}

// greeted says whether svc speaks to who calls it by its name in the network.
func greeted(network string) bool {
	out, err := exec.Command("docker", "run", "--rm", "--network", network, clientImage, "dial", "svc:7000").Output()
	var d map[string]inner.Dialed
	return err == nil && json.Unmarshal(out, &d) == nil && d["svc:7000"].How == inner.Greeted
}

// TestDaily_SmallThingsThatPeopleMeet are a closed terminal, sockets elsewhere, one
// name for two directories, and a project that was taken down.
func TestDaily_SmallThingsThatPeopleMeet(t *testing.T) {
	h := newHost(t, "e2e-daily")
	small(h, "")
	if err := h.daemon.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	h.deploy(1)
	select {
	case err := <-h.exited:
		t.Fatalf("the daemon ended with its terminal: %v", err)
	default:
	}

	if r := h.steady("doctor"); strings.Contains(r.out, "proxy-away") {
		t.Errorf("doctor, given the socket alone:\n%s", r.out)
	}

	other := t.TempDir()
	for _, name := range []string{"docker-compose.prod.yml", ".env", "override.yml"} {
		b, err := os.ReadFile(filepath.Join(h.dir, name))
		if err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(other, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mine := h.dir
	if r := h.steady("plan"); strings.Contains(r.out+r.err, "so far") {
		t.Errorf("a plan from the same directory warns:\n%s%s", r.out, r.err)
	}
	h.dir = other
	if r := h.steady("plan"); !strings.Contains(r.out+r.err, "was deployed from "+mine) {
		t.Errorf("a plan from another directory does not say so:\n%s%s", r.out, r.err)
	}
	h.dir = mine

	h.env["API_PORT"] = freePort(t)
	h.deploy(1, "-p", "e2e-daily-gone")
	if r := h.steady("down", "-p", "e2e-daily-gone"); r.code != 0 {
		t.Fatalf("down: %s", r.err)
	}
	if r := h.elsewhere("status"); r.code != 0 || strings.Contains(r.err, "several projects") {
		t.Errorf("of two projects one was taken down:\n%s%s", r.out, r.err)
	}
}

// elsewhere runs the binary where no Compose file is and nothing names a project.
func (h *host) elsewhere(args ...string) result {
	h.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Dir = h.t.TempDir()
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "COMPOSE_") }), "STEADY_SOCKET="+h.socket())
	var out, serr strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &serr
	_ = cmd.Run()
	return result{cmd.ProcessState.ExitCode(), out.String(), serr.String()}
}
