package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

func TestOnce_AOneShotIsDoneWithExitCode0AndRunsOncePerRelease(t *testing.T) {
	h := newHost(t, "e2e-once")
	withStub(t, h, `  web:
    <<: *stub
    ports: ["${API_PORT}:8000"]
    x-steady: { probe: { deadline: 20s } }
  init:
    <<: *stub
    environment: { LISTEN: none, EXIT_AFTER: 0s, EXIT_CODE: "${INIT_CODE:-0}", SAY: "${INIT:-makes the bucket}" }
    restart: on-failure:1
  late:
    <<: *stub
    environment: { LISTEN: none, EXIT_AFTER: 4s }
    restart: "no"
`)
	first := h.deploy(1, "all")
	if !strings.Contains(first.out+first.err, "ran to its end, exit code 0") {
		t.Errorf("deploy says nothing of the one-shot:\n%s%s", first.out, first.err)
	}
	h.eventually("both are done", func() bool { return strings.Count(h.steady("status").out, "done, exit 0, ") == 2 })
	started := func() string {
		out, err := exec.Command("docker", "inspect", "-f", "{{.Name}} {{.State.StartedAt}}", h.project+"-init-1-1", h.project+"-late-1-1").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	once := started()
	h.deploy(2, "all")
	if again := h.deploy(2, "all"); started() != once || !strings.Contains(again.out+again.err, "init  unchanged") {
		t.Errorf("they ran again:\n%s%s%s", once, started(), again.out)
	}

	r := h.with(of("2", "INIT_CODE=7", "INIT=no such bucket"), "deploy", "-y", "all")
	refused(t, r, 3, "init-3-1 exited", "no such bucket")
	if answers(t, h.api()) != "2" || started() != once {
		t.Errorf("after a one-shot that failed: %s, %v", answers(t, h.api()), h.all())
	}
	if r := h.with(of("2", "INIT=another"), "deploy", "-y", "all"); r.code != 0 {
		t.Fatalf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	if r := h.steady("rollback", "init"); r.code != 0 || !strings.Contains(h.steady("status").out, "done, exit 0, ") {
		t.Errorf("rollback: exit %d\n%s%s\n%s", r.code, r.out, r.err, h.steady("status").out)
	}
	if left := strings.Join(h.containers(), " "); strings.Contains(left, "-init-") {
		t.Errorf("the rollback ran it again: %s", left)
	}
}
