package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// leases tells who holds and who waits.
func (h *host) leases() steady.Leases {
	h.t.Helper()
	var out steady.Leases
	if r := h.steady("lock", "show", "--json"); json.Unmarshal([]byte(r.out), &out) != nil {
		h.t.Fatalf("lock show: exit %d\n%s%s", r.code, r.out, r.err)
	}
	return out
}

// kill kills the daemon as a power cut would; the proxy lives on.
func (h *host) kill() {
	h.t.Helper()
	if err := h.daemon.Process.Signal(syscall.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
	<-h.exited
}

// started is a command that runs beside the test.
type started struct {
	cmd      *exec.Cmd
	out, err bytes.Buffer
}

func (h *host) start(env map[string]string, args ...string) *started {
	h.t.Helper()
	s := &started{cmd: h.command(env, args...)}
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.err
	if err := s.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (s *started) wait() result {
	_ = s.cmd.Wait()
	return result{s.cmd.ProcessState.ExitCode(), s.out.String(), s.err.String()}
}

func release(n int, more ...string) map[string]string {
	env := map[string]string{"GESALP_RELEASE": fmt.Sprint(n)}
	for _, m := range more {
		k, v, _ := strings.Cut(m, "=")
		env[k] = v
	}
	return env
}

func TestLock_WhoWaitsIsServedInOrderAndAPersonsLockKeepsAllOut(t *testing.T) {
	h := newHost(t, "hstack-lock")
	small(h, "")
	h.deploy(1)

	// Two at once: one runs, the other is told who; those who wait go in order.
	first := h.start(release(2, "START_DELAY=4s"), "deploy", "-y")
	h.eventually("the first runs", func() bool { return len(h.leases().Held) == 1 && h.leases().Held[0].Step != "" })
	refused(t, h.with(release(9), "deploy", "-y"), 11, "rollout 2 of "+h.project, "at step", "--wait-lock")
	refused(t, h.steady("lock", "release", "--force"), 11, "its lease ends with it", "steady abort 2")
	second := h.start(release(3), "deploy", "-y", "--wait-lock", "2m", "--progress", "plain")
	h.eventually("the second waits", func() bool { return len(h.leases().Waiting) == 1 })
	third := h.start(nil, "scale", "web=2", "--wait-lock", "2m", "--progress", "plain")
	h.eventually("the third waits", func() bool { return len(h.leases().Waiting) == 2 })
	if w := h.leases().Waiting; w[0].What != "deploy" || w[1].What != "scale" || !strings.HasPrefix(w[0].For, "rollout 2 of ") {
		t.Errorf("waiting: %+v", w)
	}
	for i, s := range []*started{first, second, third} {
		if r := s.wait(); r.code != 0 || i == 1 && !strings.Contains(r.err, "steady: waiting for rollout 2 of ") {
			t.Errorf("command %d: exit %d\n%s", i+1, r.code, r.err)
		}
	}
	if got := h.containers(); !slices.Equal(got, []string{h.project + "-web-3-1", h.project + "-web-3-2"}) {
		t.Errorf("containers %v: not in the order in which they came", got)
	}

	// A person's lock, released by whom it belongs to.
	if r := h.steady("lock", "acquire", "--message", "the fair is on", "--for", "1h"); r.code != 0 {
		t.Fatalf("acquire: %+v", r)
	}
	if r := h.steady("status"); !strings.Contains(r.err, "is under the lock of ") {
		t.Errorf("status: %+v", r)
	}
	for _, args := range [][]string{{"deploy", "-y"}, {"scale", "web=1"}, {"rollback"}, {"down"}} {
		refused(t, h.with(release(4), args...), 11, "is locked by ", "the fair is on", "until ", "steady lock release")
	}
	if r := h.steady("lock", "release"); r.code != 0 {
		t.Errorf("release: %+v", r)
	}
	h.deploy(4)
	whoDidWhat(t, h)
}

func TestLock_OutlivesADaemonThatIsKilledAndExpiresAllTheSame(t *testing.T) {
	h := newHost(t, "hstack-expiry")
	small(h, "")
	h.deploy(1)
	if r := h.steady("lock", "acquire", "web", "--for", "8s"); r.code != 0 {
		t.Fatalf("acquire: %+v", r)
	}
	over := time.Now().Add(8 * time.Second)
	h.kill()
	h.boot()
	if l := h.leases().Held; len(l) != 1 || l[0].Kind != steady.LeasePerson {
		t.Errorf("after the kill: %+v", l)
	}
	if r := h.with(release(2), "deploy", "-y", "--wait-lock", "1m"); r.code != 0 || time.Now().Before(over.Add(-500*time.Millisecond)) {
		t.Errorf("deploy %s before the lock is over: exit %d\n%s", time.Until(over), r.code, r.err)
	}

	// A rollout whose daemon is killed is taken up, and so is its lease; it keeps
	// nobody waiting for ever.
	if r := h.with(release(3, "START_DELAY=3s"), "deploy", "-y", "-d"); r.code != 0 {
		t.Fatalf("deploy: %+v", r)
	}
	h.eventually("it runs", func() bool { return len(h.leases().Held) == 1 && strings.Contains(h.leases().Held[0].Step, "probe") })
	h.kill()
	h.boot()
	if r := h.with(release(4), "deploy", "-y", "--wait-lock", "1m"); r.code != 0 {
		t.Errorf("deploy after the kill: exit %d\n%s", r.code, r.err)
	}
	h.serves(4)
	if l := h.leases(); len(l.Held) != 0 {
		t.Errorf("still held: %+v", l)
	}
}

// whoDidWhat reads the audit log of what TestLock did before.
func whoDidWhat(t *testing.T, h *host) {
	t.Helper()
	var deeds []steady.Deed
	r := h.steady("audit", "--json", "-p", h.project, "-n", "0")
	if err := json.Unmarshal([]byte(r.out), &deeds); err != nil {
		t.Fatalf("audit: %v\n%s%s", err, r.out, r.err)
	}
	slices.Reverse(deeds)
	var got []string
	digests := map[string]bool{}
	for _, d := range deeds {
		came := d.Outcome
		if d.Rollout > 0 {
			came = d.State
		}
		got = append(got, d.Command+" "+came+d.Code)
		if p := d.Origin.Peer; p == nil || p.UID != os.Getuid() || p.PID < 2 || d.Origin.Dir != h.dir {
			t.Errorf("%s: origin %+v, peer %+v", d.Command, d.Origin, p)
		}
		if d.Command != "deploy" {
			continue
		}
		digests[d.Origin.Digest] = true
		if len(d.Origin.Files) != 1 || !strings.HasSuffix(d.Origin.Files[0], "/docker-compose.prod.yml") || len(d.Origin.EnvFiles) != 1 || !strings.HasSuffix(d.Origin.EnvFiles[0], "/.env") {
			t.Errorf("files %v, env files %v", d.Origin.Files, d.Origin.EnvFiles)
		}
	}
	want := []string{"deploy done", "deploy done", "deploy refusedbusy", "lock release refusedbusy", "deploy done", "scale done", "lock acquire done",
		"deploy refusedbusy", "scale refusedbusy", "rollback refusedbusy", "down refusedbusy", "lock release done", "deploy done"}
	if !slices.Equal(got, want) {
		t.Errorf("log %v\nwant %v", got, want)
	}
	if len(digests) != 1 {
		t.Errorf("digests %v of one file", digests)
	}
	env, err := os.ReadFile(h.dir + "/.env")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(env)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && len(v) > 7 && strings.Contains(r.out, v) {
			t.Errorf("the value of %s is in the audit log", k)
		}
	}
}
