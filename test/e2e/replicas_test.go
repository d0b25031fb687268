package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
	"gesalpai.ch/steady/test/load"
)

const (
	deaths = 3
	// backWithin is less than the 30 s after which the daemon looks at everything
	// anew: what is back sooner was seen by itself.
	backWithin = 15 * time.Second
)

// three is a stack of one service with three replicas that the Engine restarts;
// more goes into x-steady.
func three(h *host, more string) {
	h.t.Helper()
	small(h, more+"    restart: unless-stopped\n    deploy:\n      replicas: 3\n      update_config: { parallelism: \"${PARALLEL:-1}\", order: start-first }\n")
}

// upstreams lists who takes the service's traffic.
func (h *host) upstreams() []string {
	h.t.Helper()
	table, err := proxy.NewClient(filepath.Join(h.run, "proxy.sock")).Table(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, p := range table.Pools {
		for _, u := range p.Upstreams {
			if p.Name == steady.PoolName(h.project, "web", 8000) {
				out = append(out, u.Name)
			}
		}
	}
	return out
}

func TestReplicas_ReplacedOneAtATimeAndAllAtOnceUnderLoadLoseNothing(t *testing.T) {
	h := swiftHost(t, "e2e-more-three")
	three(h, "")
	h.deploy(1)
	l := load.Start(load.Options{URL: h.api(), Rate: rate, Duration: 5 * time.Minute})
	answers(t, h.api())
	turns := []load.Shift{{Release: 1}}
	for release := 2; release <= 7; release++ {
		h.env["PARALLEL"] = strconv.Itoa(release % 2) // 0: all at once
		turn := load.Shift{Release: release, From: time.Now(), Mixed: release%2 == 1}
		h.deploy(release)
		turn.Done = time.Now()
		turns = append(turns, turn)
	}
	r := l.Stop()
	t.Logf("\n%s", r)
	if !r.Clean() {
		t.Errorf("lost %d, cut %d, unsent %d", r.Lost(), r.Cut(), r.Unsent())
	}
	if wrong := r.Judge(turns...); len(wrong) > 0 {
		t.Errorf("%d answers of the wrong release, the first %+v", len(wrong), wrong[0])
	}
	if got := h.upstreams(); len(got) != 3 {
		t.Errorf("upstreams %v", got)
	}
}

// die kills the container's process as a crash would, from outside.
func die(t *testing.T, name string) {
	t.Helper()
	out, err := exec.Command("docker", "inspect", "--format", "{{.State.Pid}}", name).Output()
	pid, perr := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || perr != nil || pid < 2 {
		t.Fatalf("pid of %s: %q %v", name, out, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// What can be sent twice is lost by nobody: a replica that dies has its requests
// answered by another, as long as none of the answer has come.
func TestReplicas_OneThatDiesLeavesAtOnceAndComesBackWhenReady(t *testing.T) {
	h := swiftHost(t, "e2e-more-dies")
	three(h, "")
	h.env["START_DELAY"] = "1s" // long enough to see it away
	h.deploy(1)
	gets := load.Start(load.Options{URL: h.api(), Rate: 200, Duration: 5 * time.Minute, WebSockets: -1, SSEs: -1, Mix: load.Mix{KeepAlive: 3, Fresh: 3, Slow: 0.2}})
	posts := load.Start(load.Options{URL: h.api(), Rate: 60, Duration: 5 * time.Minute, WebSockets: -1, SSEs: -1, Mix: load.Mix{Post: 1}})
	answers(t, h.api())
	for i := range deaths {
		name := fmt.Sprintf("%s-web-1-%d", h.project, i+1)
		begin := time.Now()
		die(t, name)
		h.eventually(name+" leaves the pool", func() bool { return !slices.Contains(h.upstreams(), name) })
		left := time.Since(begin)
		h.eventually(name+" is back", func() bool { return slices.Contains(h.upstreams(), name) })
		back := time.Since(begin)
		t.Logf("%s was out of the table after %s and back after %s", name, left.Round(time.Millisecond), back.Round(time.Millisecond))
		if back < time.Second {
			t.Errorf("%s came back before it was ready", name)
		}
		if back > backWithin {
			t.Errorf("%s came back after %s: not when it was ready", name, back)
		}
	}
	g, p := gets.Stop(), posts.Stop()
	t.Logf("%d deaths\n%s\n%s", deaths, g, p)
	if !g.Clean() {
		t.Errorf("%d of what can be sent twice were lost, %d unsent", g.Lost(), g.Unsent())
	}
	if p.Lost() > 10*deaths {
		t.Errorf("%d POSTs lost: more than were in flight", p.Lost())
	}
}

func TestSticky_AClientStaysAtItsReplicaUntilThatGoes(t *testing.T) {
	h := newHost(t, "e2e-more-sticky")
	three(h, "      sticky: { cookie: at, ttl: 1h }\n")
	h.deploy(1)
	answers(t, h.api())
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Timeout: soon}
	set := 0
	ask := func(id string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.api()+"/echo", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Request-Id", id)
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("status %d", res.StatusCode)
		}
		set += len(res.Cookies())
	}
	for n := range 30 {
		ask(fmt.Sprintf("stay-%d", n))
	}
	at := h.saw("stay-")
	if len(at) != 1 || set != 1 {
		t.Fatalf("the client was at %v, and was told %d times", at, set)
	}
	die(t, at[0])
	for n := range 30 {
		ask(fmt.Sprintf("move-%d", n))
	}
	moved := h.saw("move-")
	if set < 2 || len(moved) == 0 {
		t.Errorf("its replica died: it was at %v, and was told %d times", moved, set)
	}
	h.eventually("all are back", func() bool { return len(h.upstreams()) == 3 })
	h.env["PARALLEL"] = "1"
	h.deploy(2)
	set = 0
	for n := range 30 {
		ask(fmt.Sprintf("next-%d", n))
	}
	if next := h.saw("next-"); len(next) != 1 || !strings.Contains(next[0], "-web-2-") || set != 1 {
		t.Errorf("after a deploy it was at %v, and was told %d times", next, set)
	}
}

// saw lists the containers that logged requests of that name.
func (h *host) saw(id string) []string {
	h.t.Helper()
	var out []string
	for _, name := range h.containers() {
		said, err := exec.Command("docker", "logs", name).CombinedOutput()
		if err != nil {
			h.t.Fatalf("docker logs %s: %v", name, err)
		}
		if bytes.Contains(said, []byte(id)) {
			out = append(out, name)
		}
	}
	return out
}
