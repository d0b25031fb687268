package e2e

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady/test/inner"
	"gesalpai.ch/steady/test/load"
)

const supervisedKills = 8

// TestProxy_OneThatSystemdStartsAgainRefusesNobody kills the proxy and starts the
// next one at once, as a service manager does, which has no copies to give it: the
// daemon's reach it all the same.
func TestProxy_OneThatSystemdStartsAgainRefusesNobody(t *testing.T) {
	h := swiftHost(t, "e2e-supervised")
	withInner(t, h, "services:\n"+called("svc", "    ports: [\"${API_PORT}:8000\"]\n"))
	h.deploy(1)
	answers(t, h.api())
	l := load.Start(load.Options{URL: h.api(), Rate: 100, Duration: 5 * time.Minute, WebSockets: -1, SSEs: -1})
	ours := 0
	for i := 0; i < supervisedKills || ours == 0 && i < 10*supervisedKills; i++ {
		old := h.proxyPID()
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		next := h.supervise()
		h.eventually("another proxy answers", func() bool { pid := h.proxyPID(); return pid > 0 && pid != old })
		if h.proxyPID() == next.Process.Pid {
			ours++
		}
		answers(t, h.api())
		if d := dialed(t, h.project+"_default", "svc:7000"); d.How != inner.Greeted {
			t.Errorf("within, a connect was %+v", d)
		}
	}
	r := l.Stop()
	t.Logf("%d kills, %d times the next proxy was not the daemon's\n%s", supervisedKills, ours, r)
	for _, lost := range r.AllLosses() {
		if lost.Phase == load.Refused || lost.Phase == load.Connect {
			t.Errorf("refused: %+v", lost)
		}
	}
	if ours == 0 {
		t.Error("the daemon was always faster: nothing was tried")
	}
}

// supervise starts a proxy that is no child of the daemon's.
func (h *host) supervise() *exec.Cmd {
	h.t.Helper()
	log, err := os.OpenFile(h.log.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(h.binary, "proxy", "--state", h.state, "--run-dir", h.run)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { defer close(exited); _ = cmd.Wait() }()
	h.t.Cleanup(func() { _ = cmd.Process.Kill(); <-exited })
	return cmd
}
