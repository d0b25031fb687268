package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady/test/load"
)

// hooksStack has a service that migrates before it starts, says good-bye before it
// stops, and one beside it that the migration calls by name.
const hooksStack = `x-steady:
  hooks:
    after: { command: 'echo "project $$STEADY_HOOK $$STEADY_KIND $$STEADY_RELEASE secret=$$DOCKER_HOST" >> work/log' }
services:
  db:
    image: gesalp-api:v1
    expose: ["8000"]
    x-steady: { probe: { path: /health, port: 8000 } }
  api:
    image: %[1]s:${GESALP_RELEASE:-1}
    ports: ["127.0.0.1:${API_PORT}:8000"]
    stop_grace_period: 5s
    depends_on: [db]
    environment: { RELEASE: "${GESALP_RELEASE:-1}", DO: "${DO:-}" }
    volumes: ["./work:/work"]
    x-steady:
      strategy: start-first
      probe: { path: /health }
      hooks:
        before: { command: [python3, /work/migrate.py], timeout: "${HOOK_TIMEOUT:-1m}" }
        stop: { command: 'echo "stop $$STEADY_REPLICA $$RELEASE" >> /work/log' }
        after: { command: 'echo "after $$STEADY_SERVICE $$STEADY_FROM_RELEASE $$STEADY_RELEASE" >> work/log', on: host }
`

// migration calls the database by its name and tells what it sees. DO says what
// becomes of it.
const migration = `import os, signal, sys, time, urllib.request
def note(*words):
    with open("/work/log", "a") as f: f.write(" ".join(words) + "\n")
e = os.environ
if e["DO"] == "hang": signal.signal(signal.SIGTERM, lambda *a: (note("told to end"), sys.exit(0)))
note("before", e["RELEASE"], "image", e["BAKED"], "to", e["STEADY_RELEASE"], "db", str(urllib.request.urlopen("http://db:8000/health", timeout=10).status))
print("adding a column", flush=True)
if e["DO"] == "fail":
    print("the column is there already", file=sys.stderr, flush=True)
    sys.exit(9)
if e["DO"] == "hang": time.sleep(600)
while e["DO"] == "wait" and not os.path.exists("/work/go"): time.sleep(0.05)
note("migrated", e["RELEASE"])
`

// migrating is a host with that stack, and images of it that know their number.
func migrating(t *testing.T, project string) *host {
	h := newHost(t, project)
	if err := os.Mkdir(filepath.Join(h.dir, "work"), 0o777); err != nil {
		t.Fatal(err)
	}
	h.write("docker-compose.prod.yml", fmt.Sprintf(hooksStack, project))
	h.write("work/migrate.py", migration)
	return h
}

// release makes an image that knows the release's number, and gives that.
func (h *host) release(n int) int {
	h.t.Helper()
	image := fmt.Sprintf("%s:%d", h.project, n)
	build := exec.Command("docker", "build", "-q", "-t", image, "-")
	build.Stdin = strings.NewReader(fmt.Sprintf("FROM %s\nENV BAKED=%d\n", gunicornImage(h.t), n))
	if out, err := build.CombinedOutput(); err != nil {
		h.t.Fatalf("build %s: %v\n%s", image, err, out)
	}
	h.t.Cleanup(func() { _ = exec.Command("docker", "rmi", "-f", image).Run() })
	return n
}

// noted gives what the hooks wrote since the last time.
func (h *host) noted() []string {
	h.t.Helper()
	path := filepath.Join(h.dir, "work/log")
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		h.t.Fatal(err)
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}

func (h *host) hasNoted(want ...string) {
	h.t.Helper()
	if got := h.noted(); !slices.Equal(got, want) {
		h.t.Errorf("the hooks noted\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// stands checks what runs: one replica of each service and nothing besides.
func (h *host) stands(api, db int) {
	h.t.Helper()
	want := []string{fmt.Sprintf("%s-api-%d-1", h.project, api), fmt.Sprintf("%s-db-%d-1", h.project, db)}
	if got := h.containers(); !slices.Equal(got, want) {
		h.t.Errorf("containers %v, want %v", got, want)
	}
	if got := answers(h.t, h.api()); got != fmt.Sprint(api) {
		h.t.Errorf("release %s answers, want %d", got, api)
	}
}

// TestHooks_MigrateOnceBeforeAnythingAndNothingIsLost goes through what can become
// of a migration, under load: it succeeds, fails, takes too long, loses its daemon.
func TestHooks_MigrateOnceBeforeAnythingAndNothingIsLost(t *testing.T) {
	h := migrating(t, "hhook-e2e")
	first := h.deploy(h.release(1))
	h.hasNoted("before 1 image 1 to 1 db 200", "migrated 1", "after api 0 1", "project after deploy 1 secret=")
	if !strings.Contains(first.err+first.out, "| adding a column") {
		t.Errorf("the hook's output was not told:\n%s%s", first.out, first.err)
	}
	l := load.Start(load.Options{URL: h.api(), Rate: 60, Duration: 10 * time.Minute, WebSockets: -1, SSEs: -1, Mix: load.Mix{KeepAlive: 0.4, Fresh: 0.3, Post: 0.3}})
	succeeds(t, h)
	fails(t, h)
	hangs(t, h)
	isAborted(t, h)
	serving := 2
	for i := range rollouts(t, 1) {
		next := h.release(6 + i)
		losesItsDaemon(t, h, serving, next)
		serving = next
	}
	goesBack(t, h, serving)
	r := l.Stop()
	t.Logf("%d migrations lost their daemon\n%s", serving-5, r)
	if !r.Clean() {
		t.Errorf("lost %d, unsent %d", r.Lost(), r.Unsent())
	}
}

func succeeds(t *testing.T, h *host) {
	h.deploy(h.release(2))
	h.hasNoted("before 2 image 2 to 2 db 200", "migrated 2", "stop "+h.project+"-api-1-1 1", "after api 1 2", "project after deploy 2 secret=")
	h.stands(2, 1)
	events := h.steady("--json", "watch", "2").out
	if hook, created := strings.LastIndex(events, `"step_id":"api/hook/before"`), strings.Index(events, `"step":"create"`); hook < 0 || created < hook {
		t.Errorf("a replica was created before the migration was over:\n%s", events)
	}
	if plan := h.with(map[string]string{"GESALP_RELEASE": "3"}, "plan"); !strings.Contains(plan.out, "before: python3, in a container of the new image") {
		t.Errorf("plan:\n%s%s", plan.out, plan.err)
	}
	if scale := h.steady("deploy", "-y"); scale.code != 0 {
		t.Errorf("deploy of what is unchanged: exit %d\n%s", scale.code, scale.err)
	}
	h.hasNoted()
}

func fails(t *testing.T, h *host) {
	h.release(3)
	r := h.with(map[string]string{"GESALP_RELEASE": "3", "DO": "fail"}, "deploy", "-y")
	refused(t, r, 3, "hook before of "+h.project+"/api (python3) exited with code 9", "the column is there already", "release 2 is still serving")
	h.hasNoted("before 3 image 3 to 3 db 200")
	h.stands(2, 1)
}

func hangs(t *testing.T, h *host) {
	h.release(4)
	r := h.with(map[string]string{"GESALP_RELEASE": "4", "DO": "hang", "HOOK_TIMEOUT": "3s"}, "deploy", "-y")
	refused(t, r, 3, "did not end within 3s and was stopped", "x-steady.hooks.before.timeout")
	h.hasNoted("before 4 image 4 to 4 db 200", "told to end")
	h.stands(2, 1)
}

// isAborted aborts the rollout in the middle of the migration, which hears of it.
func isAborted(t *testing.T, h *host) {
	if d := h.with(map[string]string{"GESALP_RELEASE": "4", "DO": "hang"}, "deploy", "-y", "-d"); d.code != 0 {
		t.Fatalf("deploy: exit %d\n%s", d.code, d.err)
	}
	h.eventually("the migration has begun", func() bool {
		b, _ := os.ReadFile(filepath.Join(h.dir, "work/log"))
		return strings.Contains(string(b), "before 4")
	})
	if r := h.steady("abort"); r.code != 0 {
		t.Errorf("abort: exit %d\n%s", r.code, r.err)
	}
	h.hasNoted("before 4 image 4 to 5 db 200", "told to end")
	h.stands(2, 1)
}

// losesItsDaemon kills the daemon in the middle of the migration. It goes on, the
// next daemon waits for it, and the rollout ends well.
func losesItsDaemon(t *testing.T, h *host, was, next int) {
	h.env["GESALP_RELEASE"] = fmt.Sprint(next)
	if d := h.with(map[string]string{"DO": "wait"}, "deploy", "-y", "-d"); d.code != 0 {
		t.Fatalf("deploy: exit %d\n%s", d.code, d.err)
	}
	log := filepath.Join(h.dir, "work/log")
	begun := fmt.Sprintf("before %[1]d image %[1]d to %[1]d db 200", next)
	h.eventually("the migration has begun", func() bool {
		b, _ := os.ReadFile(log)
		return strings.Contains(string(b), begun)
	})
	h.kill()
	h.boot()
	h.write("work/go", "")
	var w result
	h.eventually("the rollout is over", func() bool { w = h.steady("watch"); return w.code != 10 })
	if w.code != 0 {
		t.Errorf("watch: exit %d\n%s%s", w.code, w.out, w.err)
	}
	h.hasNoted(begun, fmt.Sprintf("migrated %d", next), fmt.Sprintf("stop %s-api-%d-1 %d", h.project, was, was),
		fmt.Sprintf("after api %d %d", was, next), fmt.Sprintf("project after deploy %d secret=", next))
	h.stands(next, 1)
	if err := os.Remove(filepath.Join(h.dir, "work/go")); err != nil {
		t.Fatal(err)
	}
}

// goesBack rolls back to release 2: no migration runs.
func goesBack(t *testing.T, h *host, serving int) {
	if r := h.steady("rollback", "--to", "2", "api"); r.code != 0 {
		t.Fatalf("rollback: exit %d\n%s", r.code, r.err)
	}
	h.hasNoted(fmt.Sprintf("stop %s-api-%d-1 %d", h.project, serving, serving), fmt.Sprintf("after api %d 2", serving), "project after rollback 2 secret=")
	h.stands(2, 1)
}

func TestHooks_AFirstDeployWhoseMigrationFailsLeavesNothing(t *testing.T) {
	h := migrating(t, "hhook-first")
	h.release(1)
	r := h.with(map[string]string{"DO": "fail"}, "deploy", "-y")
	refused(t, r, 3, "exited with code 9", "the column is there already")
	h.hasNoted("before 1 image 1 to 1 db 200")
	if got := h.all(); len(got) > 0 {
		t.Errorf("containers %v", got)
	}
	out, err := exec.Command("docker", "network", "ls", "-q", "--filter", "label=com.docker.compose.project="+h.project).Output()
	if err != nil || len(out) > 0 {
		t.Errorf("networks %q, %v", out, err)
	}
}
