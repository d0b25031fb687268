package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/load"
)

// trio is small with a service that writes to a volume and one that only others
// call, by name.
func trio(h *host) {
	h.t.Helper()
	small(h, `  writer:
    image: gesalp-api:v1
    ports: ["${REPORT_PORT}:8000"]
    environment: { RELEASE: "${GESALP_RELEASE:-1}" }
    volumes: ["data:/data"]
    x-steady: { probe: { path: /health }, drain: { streams: 1s } }
  inner:
    image: gesalp-api:v1
    environment: { RELEASE: "${GESALP_RELEASE:-1}" }
    x-steady: { probe: { path: /health, port: 8000 } }
volumes: { data: {} }
`)
}

// underLoad sends requests to both published ports until stop, which gives what
// became of them.
func underLoad(h *host) (stop func() []load.Report) {
	var running []*load.Running
	for _, port := range []string{"API_PORT", "REPORT_PORT"} {
		running = append(running, load.Start(load.Options{URL: "http://127.0.0.1:" + h.env[port], Rate: 50, Duration: time.Hour,
			WebSockets: -1, SSEs: -1, Conns: 200, InFlight: 600, Mix: load.Mix{KeepAlive: 0.4, Fresh: 0.3, Post: 0.3}}))
	}
	return func() (out []load.Report) {
		for _, l := range running {
			out = append(out, l.Stop())
		}
		return out
	}
}

// serving gives the release of each service as status tells it, once all of their
// replicas are routed.
func serving(h *host) map[string]int {
	h.t.Helper()
	var out map[string]int
	h.eventually("all replicas are routed", func() bool {
		r := h.steady("status", "--json")
		var s steady.Status
		if err := json.Unmarshal([]byte(r.out), &s); err != nil {
			h.t.Fatalf("status: %v\n%s%s", err, r.out, r.err)
		}
		out = map[string]int{}
		for _, of := range s.Services {
			out[of.Service] = of.Release
			if slices.ContainsFunc(of.Replicas, func(c steady.ReplicaStatus) bool { return !c.Routed }) {
				return false
			}
		}
		return true
	})
	return out
}

func (h *host) db() string { return filepath.Join(h.state, "steady.db") }

// moveAside follows the hint: the store goes out of the way.
func moveAside(h *host) {
	h.t.Helper()
	hint := fmt.Sprintf("mkdir %s/aside && mv %s* %s/aside", h.state, h.db(), h.state)
	if out, err := exec.Command("sh", "-c", hint).CombinedOutput(); err != nil {
		h.t.Fatalf("%s: %v\n%s", hint, err, out)
	}
}

// makeOf is how a container was made, but for what differs from one to the next of
// the same release.
func makeOf(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("docker", "inspect", "--format",
		"{{json .Config.Env}} {{json .Config.Cmd}} {{json .Config.Entrypoint}} {{json .Config.ExposedPorts}} {{json .HostConfig.Binds}} {{json .HostConfig.Mounts}} "+
			"{{.HostConfig.NetworkMode}} {{or .HostConfig.RestartPolicy.Name \"no\"}} {{.HostConfig.Memory}} {{.Image}} {{json .Config.Healthcheck}} {{.Config.StopTimeout}}", name).CombinedOutput()
	if err != nil {
		t.Fatalf("inspect %s: %v\n%s", name, err, out)
	}
	return string(out)
}

// TestStore_ALostOneIsMadeUpForAndNothingIsLost loses the store under load: what
// served goes on, a failed deploy leaves it running, the next deploy replaces it, and
// a rollback goes back to it.
func TestStore_ALostOneIsMadeUpForAndNothingIsLost(t *testing.T) {
	h := newHost(t, "e2e-store-gone")
	trio(h)
	h.deploy(1, "all")
	h.deploy(2, "all")
	how := makeOf(t, h.project+"-web-2-1")
	stop := underLoad(h)
	lost(t, h, moveAside)
	h.deploy(4, "all")
	if got, want := h.containers(), h.project+"-web-4-1"; !slices.Contains(got, want) || len(got) != 3 {
		t.Errorf("containers %v, want three and %s among them", got, want)
	}
	if r := h.steady("rollback"); r.code != 0 {
		t.Errorf("rollback: exit %d\n%s%s", r.code, r.out, r.err)
	}
	if got := makeOf(t, h.project+"-web-2-1"); got != how {
		t.Errorf("the release was brought back as\n%s\nand was\n%s", got, how)
	}
	if got, want := serving(h), "map[inner:2 web:2 writer:2]"; fmt.Sprint(got) != want {
		t.Errorf("after the rollback: serving %v, want %v", got, want)
	}
	clean(t, stop())
}

// TestStore_ADamagedOrNewerOneIsMadeUpForAndNothingIsLost has a store that cannot be
// read: a damaged one is moved aside, one of a newer steady refused with a hint that
// works.
func TestStore_ADamagedOrNewerOneIsMadeUpForAndNothingIsLost(t *testing.T) {
	h := newHost(t, "e2e-store-bad")
	trio(h)
	h.deploy(1, "all")
	h.deploy(2, "all")
	stop := underLoad(h)
	lost(t, h, func(h *host) {
		if err := os.Truncate(h.db(), 8192); err != nil {
			h.t.Fatal(err)
		}
		for _, log := range []string{"-wal", "-shm"} {
			_ = os.Remove(h.db() + log)
		}
	})
	if kept, _ := filepath.Glob(h.state + "/aside/*/steady.db"); len(kept) != 1 {
		t.Errorf("the damaged store is kept as %v, want one copy", kept)
	}
	lost(t, h, func(h *host) {
		db, err := sql.Open("sqlite", h.db())
		if err != nil {
			h.t.Fatal(err)
		}
		if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
			h.t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			h.t.Fatal(err)
		}
		said := refuses(h, "newer steady", "go on without its history: ")
		_, hint, _ := strings.Cut(said, "go on without its history: ")
		hint, _, _ = strings.Cut(hint, "\n")
		if out, err := exec.Command("sh", "-c", hint).CombinedOutput(); err != nil {
			h.t.Fatalf("%s: %v\n%s", hint, err, out)
		}
	})
	clean(t, stop())
}

// lost stops the daemon, has the store lost, and boots: release 2 of all serves, and
// a deploy that fails leaves it so.
func lost(t *testing.T, h *host, lose func(h *host)) {
	h.t.Helper()
	before := h.all()
	h.stop()
	lose(h)
	h.boot()
	if got, want := serving(h), "map[inner:2 web:2 writer:2]"; fmt.Sprint(got) != want {
		h.t.Errorf("serving %v, want %v", got, want)
	}
	bad := h.with(map[string]string{"GESALP_RELEASE": "3", "EXIT_AT_START": "1"}, "deploy", "-y", "all")
	refused(t, bad, 3, "exited", "web-3-1", "release 2 is still serving")
	if got := h.all(); !slices.Equal(got, before) {
		h.t.Errorf("after a failed deploy: containers %v, want %v", got, before)
	}
}

func clean(t *testing.T, all []load.Report) {
	t.Helper()
	for i, r := range all {
		t.Logf("load %d: %d sent, %d lost", i+1, r.Sent(), r.Lost())
		if !r.Clean() {
			t.Errorf("load %d: lost %d, unsent %d\n%s", i+1, r.Lost(), r.Unsent(), r)
		}
	}
}

// refuses starts a daemon that must end by itself, saying those words, while the
// ports stay open. It gives all that it says.
func refuses(h *host, words ...string) string {
	h.t.Helper()
	cmd := exec.Command(h.binary, "daemon", "--state", h.state, "--run-dir", h.run, "--socket", h.socket())
	said, err := cmd.CombinedOutput()
	for _, w := range words {
		if err == nil || !strings.Contains(string(said), w) {
			h.t.Errorf("the daemon ended with %v and says\n%s\nwithout %q", err, said, w)
		}
	}
	answers(h.t, h.api())
	return string(said)
}

// TestStore_IsMadeUpForAfterTheProxyHasDiedToo kills all of steady: the ports are
// those of the table file.
func TestStore_IsMadeUpForAfterTheProxyHasDiedToo(t *testing.T) {
	h := newHost(t, "e2e-store-proxy")
	trio(h)
	h.deploy(1, "all")
	pid := h.proxyPID()
	h.stop()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	moveAside(h)
	h.boot()
	answers(t, h.api())
	if got := serving(h); fmt.Sprint(got) != "map[inner:1 web:1 writer:1]" {
		t.Errorf("serving %v", got)
	}
	h.deploy(2, "all")
	answers(t, h.api())
}

// TestStore_OfTwoReleasesThatRunTheOneInForceIsTakenUp loses the store in the middle
// of a rollout, before and after its shift.
func TestStore_OfTwoReleasesThatRunTheOneInForceIsTakenUp(t *testing.T) {
	for at, want := range map[string]int{"shift:before": 1, "shift:after": 2} {
		t.Run(at, func(t *testing.T) {
			h := newHost(t, "e2e-store-two")
			small(h, "")
			h.deploy(1)
			l := load.Start(load.Options{URL: h.api(), Rate: 100, Duration: time.Hour, WebSockets: -1, SSEs: -1,
				Mix: load.Mix{KeepAlive: 0.4, Fresh: 0.3, Post: 0.3}})
			h.stop()
			h.boot("STEADY_CRASH_AT=" + at)
			if out, err := h.command(map[string]string{"GESALP_RELEASE": "2"}, "deploy", "-y", "-d").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			select {
			case <-h.exited:
			case <-time.After(soon):
				t.Fatalf("the daemon did not crash\n%s", h.log)
			}
			both := h.containers()
			moveAside(h)
			h.boot()
			if got := answers(t, h.api()); got != fmt.Sprint(want) {
				t.Errorf("release %s answers, want %d", got, want)
			}
			if got := h.containers(); len(both) != 2 || !slices.Equal(got, both) {
				t.Errorf("containers %v, were %v, want two", got, both)
			}
			h.deploy(3)
			h.serves(3)
			r := l.Stop()
			if !r.Clean() {
				t.Errorf("lost %d, unsent %d\n%s", r.Lost(), r.Unsent(), r)
			}
		})
	}
}
