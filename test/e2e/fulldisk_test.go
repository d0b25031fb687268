package e2e

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/load"
)

// onSmallDisk has a service that starts beside its old one, one that writes to a volume,
// and a watch window, on a daemon whose state has a disk of its own, under load.
func onSmallDisk(t *testing.T, name string) (h *host, stop func() []load.Report) {
	t.Helper()
	disk := tmpfs(t, "8m") // unmounted after the host is torn down
	h = newHost(t, name)
	h.killAll() // the proxy too, which keeps its table there
	h.state = disk
	h.boot()
	small(h, `    deploy: { update_config: { monitor: "${MONITOR:-0s}" } }
  writer:
    image: gesalp-api:v1
    ports: ["${REPORT_PORT}:8000"]
    environment: { RELEASE: "${WRITER:-1}", START_DELAY: "${WRITER_DELAY:-0s}" }
    volumes: ["data:/data"]
    x-steady: { probe: { path: /health }, drain: { streams: 1s } }
volumes: { data: {} }
`)
	h.deploy(1, "all")
	return h, underLoad(h)
}

// makeRoom takes away what filled the disk.
func (h *host) makeRoom() {
	h.t.Helper()
	if err := os.Remove(filepath.Join(h.state, "filler")); err != nil {
		h.t.Fatal(err)
	}
}

// rolledOut is a rollout as steady rollouts tells it.
func (h *host) rolledOut(id int64) steady.Rollout {
	h.t.Helper()
	var all []steady.Rollout
	r := h.steady("rollouts", "--json")
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		h.t.Fatalf("rollouts: %v\n%s%s", err, r.out, r.err)
	}
	i := slices.IndexFunc(all, func(r steady.Rollout) bool { return r.ID == id })
	if i < 0 {
		h.t.Fatalf("rollouts lacks %d: %s", id, r.out)
	}
	return all[i]
}

// ends waits for a command that a full disk ends, and fails the test where it takes long.
func (s *started) ends(t *testing.T, h *host) result {
	t.Helper()
	ended := make(chan result, 1)
	go func() { ended <- s.wait() }()
	select {
	case r := <-ended:
		return r
	case <-time.After(soon):
		_ = s.cmd.Process.Kill()
		t.Fatalf("it does not end\n%s\n%s", (<-ended).err, h.log)
	}
	return result{}
}

// tellsTheEnd checks what is told of rollout 2 while its end cannot be stored.
func (h *host) tellsTheEnd(t *testing.T, state string) {
	h.t.Helper()
	refused(t, h.steady("watch", "2"), 13, "the disk is full", "df -h "+h.state)
	if r := h.rolledOut(2); r.State != state || r.Unstored == nil {
		h.t.Errorf("rollouts: %s, unstored %v, want %s", r.State, r.Unstored, state)
	}
	for _, command := range []string{"rollouts", "status"} {
		if r := h.steady(command); r.code != 0 || !strings.Contains(r.err, "rollout 2 of "+h.project+" has ended ("+state+"), and its end is not stored yet") || strings.Contains(r.err, "runs since") {
			h.t.Errorf("%s: exit %d\n%s%s", command, r.code, r.out, r.err)
		}
	}
	if r := h.steady("abort"); r.code == 0 || !strings.Contains(r.err, "rollout 2 of "+h.project+" has ended: "+state) {
		h.t.Errorf("abort: exit %d\n%s", r.code, r.err)
	}
	refused(t, h.with(release(3), "deploy", "-y"), 13, "the disk is full", "df -h "+h.state)
}

// storesTheEnd makes room, waits until the end of rollout 2 is stored, and checks that
// the store has all of it.
func (h *host) storesTheEnd(state string, code int) {
	h.t.Helper()
	h.makeRoom()
	h.eventually("the end is stored", func() bool { return h.rolledOut(2).Unstored == nil })
	if r := h.rolledOut(2); r.State != state || r.Receipt == nil || r.Ended.IsZero() {
		h.t.Errorf("stored %+v", r)
	}
	if r := h.steady("watch", "2"); r.code != code {
		h.t.Errorf("watch: exit %d, want %d\n%s", r.code, code, r.err)
	}
	events := h.eventsOf(2)
	for i, e := range events {
		if e.Seq != int64(i+1) || e.Last() != (i == len(events)-1) {
			h.t.Errorf("event %d of %d is %+v", i+1, len(events), e)
		}
	}
}

func TestFullDisk_InTheMiddleOfARolloutUnderLoad(t *testing.T) {
	h, stop := onSmallDisk(t, "e2e-full-probe")
	deploy := h.start(release(2, "START_DELAY=5s"), "deploy", "-y", "all")
	h.eventually("release 2 is started", func() bool { return slices.Contains(h.containers(), h.project+"-web-2-1") })
	fill(t, h.state)
	began := time.Now()
	refused(t, deploy.ends(t, h), 13, "web release 2 not deployed", "the disk is full", "df -h "+h.state, "release 1 is still serving")
	t.Logf("told %s after the disk was full, of which up to 5s the start", time.Since(began).Round(100*time.Millisecond))
	h.tellsTheEnd(t, steady.RolloutFailed)
	h.storesTheEnd(steady.RolloutFailed, 13)
	h.deploy(3, "all")
	lockedStore(t, h)
	clean(t, stop())
}

// lockedStore has another process take the store's lock in the middle of a rollout.
func lockedStore(t *testing.T, h *host) {
	t.Helper()
	db, err := sql.Open("sqlite", h.db()+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	deploy := h.start(release(4, "START_DELAY=5s"), "deploy", "-y", "web")
	h.eventually("release 4 is started", func() bool { return slices.Contains(h.containers(), h.project+"-web-4-1") })
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	refused(t, deploy.ends(t, h), 13, "web release 4 not deployed", "another process holds its lock", "fuser -v "+h.db(), "release 3 is still serving")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	h.eventually("the end is stored", func() bool { r := h.rolledOut(4); return r.Unstored == nil && r.State == steady.RolloutFailed })
}

// A service that is held has nobody to serve it when the disk is full: the old one comes
// back though that cannot be stored, and stays through restarts of the daemon.
func TestFullDisk_WhileAServiceIsHeldAndTheDaemonIsRestarted(t *testing.T) {
	h, stop := onSmallDisk(t, "e2e-full-held")
	deploy := h.start(map[string]string{"WRITER": "2", "WRITER_DELAY": "5s"}, "deploy", "-y", "writer")
	h.eventually("the gate is shut", func() bool { return strings.Contains(h.steady("status").err, "writer is held") })
	fill(t, h.state)
	refused(t, deploy.ends(t, h), 13, "writer release 2 not deployed", "the disk is full", "release 1 is still serving")
	h.tellsTheEnd(t, steady.RolloutFailed)
	started := listed(t, "inspect", "-f", "{{.State.StartedAt}}", h.replica("writer"))
	for range 2 {
		h.stop()
		h.boot()
		h.eventually("the rollout has ended", func() bool { return h.rolledOut(2).State == steady.RolloutFailed })
	}
	h.tellsTheEnd(t, steady.RolloutFailed)
	if again := listed(t, "inspect", "-f", "{{.State.StartedAt}}", h.replica("writer")); !slices.Equal(again, started) {
		t.Errorf("what serves was started again: %v, then %v", started, again)
	}
	h.storesTheEnd(steady.RolloutFailed, 3)
	if got := serving(h); got["writer"] != 1 {
		t.Errorf("serving %v", got)
	}
	clean(t, stop())
}

// The disk gets full in a watch window in which the new release turns out bad: the old one
// takes the traffic at once, and the rest of the undo waits for room.
func TestFullDisk_InAWatchWindowTheOldReleaseServesAtOnce(t *testing.T) {
	h, stop := onSmallDisk(t, "e2e-full-watch")
	deploy := h.start(release(2, "MONITOR=1h"), "deploy", "-y", "web")
	h.eventually("the watch window has begun", func() bool {
		held := h.leases().Held
		return len(held) == 1 && strings.Contains(held[0].Step, "watch") && answers(t, h.api()) == "2"
	})
	fill(t, h.state)
	if r := h.steady("abort", "--detach"); r.code != 0 {
		t.Errorf("abort: exit %d\n%s", r.code, r.err)
	}
	refused(t, deploy.ends(t, h), 13, "rollout 2 of "+h.project+" is being taken back, and waits for the store", "the disk is full", "df -h "+h.state)
	if got := answers(t, h.api()); got != "1" {
		t.Errorf("release %s answers", got)
	}
	refused(t, h.steady("watch"), 13, "waits for the store")
	var s steady.Status
	if err := json.Unmarshal([]byte(h.steady("status", "--json").out), &s); err != nil || len(s.Unstored) != 1 || s.Rollout == nil || s.Services[0].Release != 1 {
		t.Errorf("status: %+v, %v", s, err)
	}
	if r := h.rolledOut(2); r.State != steady.RolloutUndoing {
		t.Errorf("rollouts: %s", r.State)
	}
	refused(t, h.steady("abort"), 1, "undone already")
	refused(t, h.with(release(3), "deploy", "-y"), 13, "waits for the store")
	h.makeRoom()
	h.eventually("the end is stored", func() bool { return h.rolledOut(2).State == steady.RolloutAborted })
	if got := h.containers(); slices.Contains(got, h.project+"-web-2-1") {
		t.Errorf("left: %v", got)
	}
	clean(t, stop())
}
