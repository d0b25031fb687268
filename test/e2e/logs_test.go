package e2e

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// guidesLogs runs the guide's commands for logs, in our words, while the api of
// release 3 is under load.
func guidesLogs(t *testing.T, h *host) {
	t.Helper()
	from := func(out string) map[string]int {
		lines := map[string]int{}
		for line := range strings.Lines(out) {
			name, _, _ := strings.Cut(line, " ")
			lines[name]++
		}
		return lines
	}
	all := h.steady("logs", "--tail", "3")
	if got := from(all.out); all.code != 0 || len(got) != 5 || got["api-3-1"] != 3 {
		t.Errorf("logs of all services: exit %d, %v\n%s", all.code, got, all.err)
	}
	tail := h.steady("logs", "--tail=100", "api")
	if got := from(tail.out); tail.code != 0 || len(got) != 1 || got["api-3-1"] != 100 {
		t.Errorf("logs --tail=100 api: exit %d, %v\n%s", tail.code, got, tail.err)
	}
	since := h.steady("logs", "--since", "10m", "--release", "3", "-n", "2")
	if got := from(since.out); since.code != 0 || len(got) != 1 || got["api-3-1"] != 2 {
		t.Errorf("logs --since --release: exit %d, %v\n%s", since.code, got, since.err)
	}
	refused(t, h.steady("logs", "apo"), 2, "has no service apo")
	refused(t, h.steady("logs", "api", "--release", "99"), 2, "no container of release 99 is left")
	follow(t, h)
}

// follow waits for ten lines that come after it has begun.
func follow(t *testing.T, h *host) {
	t.Helper()
	cmd := h.command(nil, "logs", "-f", "--tail=0", "api")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 10 {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), "api-3-1 ") {
			t.Errorf("logs -f: %q, %v", lines.Text(), lines.Err())
			break
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("logs -f, interrupted: %v", err)
	}
}
