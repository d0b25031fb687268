package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// small is a stack of one service, quick to deploy; more goes into the service.
func small(h *host, more string) {
	h.t.Helper()
	h.write("docker-compose.prod.yml", `services:
  web:
    image: ${WEB_IMAGE:-gesalp-api:v1}
    ports: ["${API_PORT}:8000"]
    stop_grace_period: 5s
    environment:
      RELEASE: ${GESALP_RELEASE:-1}
      FAIL_HEALTH: ${FAIL_HEALTH:-0}
      EXIT_AT_START: ${EXIT_AT_START:-0}
      START_DELAY: ${START_DELAY:-0s}
    x-steady:
      probe: { path: /health, deadline: "${DEADLINE:-20s}" }
      drain: { streams: 1s }
`+more)
}

// serves checks that release 1 still answers, that nothing of a newer one is
// left, and that the next good deploy works.
func (h *host) serves(release int) {
	h.t.Helper()
	if got := answers(h.t, h.api()); got != fmt.Sprint(release) {
		h.t.Errorf("release %s answers, want %d", got, release)
	}
	want := fmt.Sprintf("%s-web-%d-1", h.project, release)
	if got := h.containers(); !slices.Equal(got, []string{want}) {
		h.t.Errorf("containers %v, want only %s", got, want)
	}
}

// refused checks a command's exit code, its sentence and its hint.
func refused(t *testing.T, r result, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit %d, want %d", r.code, code)
	}
	for _, w := range append(words, "steady: error: ", "hint: ") {
		if !strings.Contains(r.err, w) {
			t.Errorf("stderr lacks %q", w)
		}
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", r.out, r.err)
	}
}

func TestBadInput_EachHasOneSentenceAndItsOwnExitCode(t *testing.T) {
	h := newHost(t, "e2e-bad")
	small(h, "")
	h.deploy(1)
	next := map[string]string{"GESALP_RELEASE": "2"}
	with := func(k, v string) map[string]string { return map[string]string{"GESALP_RELEASE": "2", k: v} }

	t.Run("a file that does not parse", func(t *testing.T) {
		h.write("broken.yml", "services:\n  web:\n   image: x\n  ports: [\n")
		refused(t, h.with(next, "-f", "broken.yml", "deploy", "-y"), 2, "broken.yml:5")
		h.serves(1)
	})
	t.Run("an unknown service", func(t *testing.T) {
		refused(t, h.with(next, "deploy", "-y", "wep"), 2, "wep", "web")
		h.serves(1)
	})
	t.Run("an image that is not there", func(t *testing.T) {
		refused(t, h.with(with("WEB_IMAGE", "127.0.0.1:1/nowhere:v9"), "deploy", "-y"), 3, "127.0.0.1:1/nowhere:v9", "release 1 is still serving")
		h.serves(1)
	})
	t.Run("a container that exits at once", func(t *testing.T) {
		refused(t, h.with(with("EXIT_AT_START", "1"), "deploy", "-y"), 3, "exited", "code 3", "release 1 is still serving", "EXIT_AT_START")
		h.serves(1)
	})
	t.Run("one that is never healthy", func(t *testing.T) {
		env := with("FAIL_HEALTH", "1")
		env["DEADLINE"] = "2s"
		refused(t, h.with(env, "deploy", "-y"), 3, "503", "/health", "release 1 is still serving")
		h.serves(1)
	})
	t.Run("a rollback to nowhere", func(t *testing.T) {
		refused(t, h.steady("rollback", "web"), 2, "release")
		h.serves(1)
	})
	t.Run("no such project", func(t *testing.T) {
		refused(t, h.steady("status", "-p", "nobody"), 2, "nobody")
	})
	t.Run("no daemon", func(t *testing.T) {
		refused(t, h.steady("--socket", filepath.Join(h.run, "nobody.sock"), "deploy", "-y"), 10, "steady daemon")
		h.serves(1)
	})
	t.Run("and then a good deploy works", func(t *testing.T) {
		h.deploy(2)
		got := h.containers()
		if len(got) != 1 || answers(t, h.api()) != "2" {
			t.Errorf("containers %v", got)
		}
	})
}

func TestBadInput_APortHeldByAForeignProcessIsNamed(t *testing.T) {
	h := newHost(t, "e2e-port")
	small(h, "")
	l, err := net.Listen("tcp", ":"+h.env["API_PORT"])
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	refused(t, h.steady("deploy", "-y"), 3, h.env["API_PORT"], fmt.Sprint(os.Getpid()))
	if got := h.containers(); len(got) != 0 {
		t.Errorf("containers %v", got)
	}
}

func TestBadInput_NoEngine(t *testing.T) {
	h := newHost(t, "e2e-noengine")
	small(h, "")
	h.stop()
	h.boot("DOCKER_HOST=unix://" + filepath.Join(h.run, "no-engine.sock"))
	refused(t, h.steady("deploy", "-y"), 12, "no-engine.sock")
	h.stop()
	h.boot()
}

func TestBadInput_FullDiskInTheStoreLeavesTheOldReleaseServing(t *testing.T) {
	h := newHost(t, "e2e-full")
	small(h, "")
	h.stop()
	h.state = tmpfs(t, "2m")
	h.boot()
	h.deploy(1)
	fill(t, h.state)
	r := h.with(map[string]string{"GESALP_RELEASE": "2"}, "deploy", "-y")
	refused(t, r, 13, "store", "df -h")
	h.serves(1)
	if err := os.Remove(filepath.Join(h.state, "filler")); err != nil {
		t.Fatal(err)
	}
	h.deploy(2)
}

// tmpfs mounts a disk of that size, small enough to fill.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount a tmpfs (as root): %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return dir
}

// fill writes until the disk has no byte left.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 16; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

func TestDeploy_TwoAtOnceTheSecondIsToldWhoIsBusy(t *testing.T) {
	h := newHost(t, "e2e-two")
	small(h, "")
	h.deploy(1)
	slow := map[string]string{"GESALP_RELEASE": "2", "START_DELAY": "2s"}
	var wg sync.WaitGroup
	var first result
	wg.Go(func() { first = h.with(slow, "deploy", "-y") })
	h.eventually("the first rollout runs", func() bool { return strings.Contains(h.steady("status", "--json").out, `"rollout":{"id":2,`) })
	refused(t, h.with(map[string]string{"GESALP_RELEASE": "3"}, "deploy", "-y"), 11, "rollout 2", "steady watch 2")
	if r := h.with(map[string]string{"GESALP_RELEASE": "3"}, "deploy", "-y", "--wait-lock", "1m"); r.code != 0 {
		t.Errorf("with --wait-lock: exit %d\n%s", r.code, r.err)
	}
	wg.Wait()
	if first.code != 0 {
		t.Errorf("the first: exit %d\n%s", first.code, first.err)
	}
	h.serves(3)
}

func TestAbort_UndoesAndTheOldReleaseServesOn(t *testing.T) {
	h := newHost(t, "e2e-abort")
	small(h, "")
	h.deploy(1)
	var wg sync.WaitGroup
	var r result
	wg.Go(func() { r = h.with(map[string]string{"GESALP_RELEASE": "2", "START_DELAY": "1h"}, "deploy", "-y") })
	h.eventually("the new container starts", func() bool { return len(h.containers()) == 2 })
	if a := h.steady("abort"); a.code != 0 {
		t.Errorf("abort: exit %d\n%s", a.code, a.err)
	}
	wg.Wait()
	if r.code != 3 || !strings.Contains(r.err, "abort") {
		t.Errorf("exit %d, want 3\n%s", r.code, r.err)
	}
	h.serves(1)
}

func TestInterrupt_DetachesAndTheRolloutGoesOn(t *testing.T) {
	h := newHost(t, "e2e-int")
	small(h, "")
	h.deploy(1)
	cmd := h.command(map[string]string{"GESALP_RELEASE": "2", "START_DELAY": "2s"}, "deploy", "-y")
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually("the new container starts", func() bool { return len(h.containers()) == 2 })
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(said.String(), "steady watch") {
		t.Errorf("exit %d, want 130\n%s", code, said.String())
	}
	if w := h.steady("watch"); w.code != 0 {
		t.Errorf("watch: exit %d\n%s", w.code, w.err)
	}
	h.serves(2)
}

// answers waits until the URL's /echo answers 200 and gives its release.
func answers(t testing.TB, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	release, err := ask(ctx, url+"/echo")
	if err != nil {
		t.Fatalf("%s does not answer: %v", url, err)
	}
	return release
}
