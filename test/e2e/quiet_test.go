package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/control"
	"gesalpai.ch/steady/test/inner"
	"gesalpai.ch/steady/test/load"
)

const natsImage = "inner-nats:e2e"

// databases is what scripts/databases.sh made, made now where it is missing.
func databases(t testing.TB) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(repo, "scripts/databases.sh"))
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("scripts/databases.sh: %v\n%s", err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// keptStack is three servers that must not run twice, whose clients keep their
// connections. Each works 20 ms for an answer.
const keptStack = `x-steady:
  drain: { quiet: "${QUIET:-2s}" }
x-each: &each
  environment: { RELEASE: "${GESALP_RELEASE:-1}", DELAY: 20ms }
  stop_grace_period: 5s
services:
  queue:
    <<: *each
    image: ` + natsImage + `
    volumes: ["queue:/data"]
    x-steady: { probe: { kind: tcp, port: 4222 } }
  db:
    <<: *each
    image: ${DATABASES}
    command: [postgres]
    stop_signal: SIGINT
    volumes: ["db:/data"]
    healthcheck: { test: [CMD, pg_isready, -h, 127.0.0.1], interval: 10s }
  cache:
    <<: *each
    image: ${DATABASES}
    command: [redis]
    volumes: ["cache:/data"]
    healthcheck: { test: [CMD, redis-cli, ping], interval: 10s }
volumes: { queue: {}, db: {}, cache: {} }
`

// busy keeps both processors busy, as a small server's are, until the test ends.
func busy(t testing.TB, loops int) {
	t.Helper()
	for range loops {
		cmd := exec.Command("timeout", "3600", "sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	}
}

const keptConns = 40 // to each server

// keptClients are those of NATS, PostgreSQL and Redis, 200 questions/s each.
func keptClients(h *host, timeout time.Duration) *caller {
	h.t.Helper()
	return call(h.t, h.project+"-clients", h.project+"_default", "kept", "-rate", "200", "-conns", fmt.Sprint(keptConns), "-timeout", timeout.String(),
		"nats=queue:4222", "postgres=db:5432", "redis=cache:6379")
}

// held rolls the three out, each held, and tells what became of their streams.
func held(h *host, release int) (told steady.Drained) {
	h.t.Helper()
	h.env["GESALP_RELEASE"] = fmt.Sprint(release)
	events := h.events(nil)
	for _, s := range events[len(events)-1].Receipt.Services {
		if s.Strategy != steady.StrategyHold {
			h.t.Errorf("%s was replaced by %s", s.Service, s.Strategy)
		}
		told = told.Plus(s.Drained)
	}
	return told
}

// TestQuiet_HeldRolloutsLoseAtMostAFewAnswers replaces a NATS server, PostgreSQL and Redis on a
// busy machine while clients of their real libraries ask over connections that they keep.
// Each connection is ended between two questions, so hardly any answer is lost: see
// docs/hold.md for those that are. The control, which ends them at once, must lose.
func TestQuiet_HeldRolloutsLoseAtMostAFewAnswers(t *testing.T) {
	h := swiftHost(t, "e2e-quiet")
	h.env["DATABASES"], h.env["QUIET"] = databases(t), "0s"
	withInner(t, h, keptStack)
	h.deploy(1)
	busy(t, 4)
	c := keptClients(h, 5*time.Second)
	told := held(h, 2)
	delete(h.env, "QUIET") // the clocks are those of the release that goes
	told = told.Plus(held(h, 3))
	r := c.report()
	t.Logf("the control: two rollouts that end streams at once\n%sdrained %+v", table(r), told)
	if lostAnswers(r) == 0 || told.StreamsCut == 0 { // a NATS client waits until it times out
		t.Error(control.ErrBlind)
	}

	c = keptClients(h, soon)
	n := rollouts(t, 2)
	told = steady.Drained{}
	for release := 4; release < n+4; release++ {
		told = told.Plus(held(h, release))
	}
	r = c.report()
	t.Logf("%d held rollouts of three servers\n%sdrained %+v", n, table(r), told)
	// A client that stalls may ask in the moment in which its stream ends, which nobody
	// can know: docs/hold.md, which also has what runs on a busy machine lost.
	if lost := lostAnswers(r); lost > 3*n || told.StreamsQuiet == 0 {
		t.Errorf("%d answers lost, %d streams ended quietly", lost, told.StreamsQuiet)
	}
	for _, kind := range []string{"nats", "postgres", "redis"} {
		if r.Of(kind).Asked == 0 {
			t.Errorf("%s was asked nothing", kind)
		}
	}
}

func lostAnswers(r inner.Report) (n int) {
	for _, t := range r.TCP {
		for _, lost := range t.Lost {
			n += lost
		}
	}
	return n
}

// TestQuiet_TheStackAnswersWhileItsQueueIsReplacedAgainAndAgain: every question that comes
// to api is one to the queue, which is held 14 times, one right after the other, on a busy
// machine.
func TestQuiet_TheStackAnswersWhileItsQueueIsReplacedAgainAndAgain(t *testing.T) {
	h := swiftHost(t, "e2e-quiet-stack")
	h.deploy(1, "all")
	busy(t, 4)
	l := load.Start(load.Options{URL: h.api(), Rate: 200, Duration: time.Hour, WebSockets: -1, SSEs: -1, InFlight: 8000, Conns: 8000,
		Mix: load.Mix{KeepAlive: 1}, Paths: load.Paths{KeepAlive: "/ask/queue"}})
	n := rollouts(t, 4)
	for release := 2; release <= n+1; release++ {
		h.deploy(release, "queue")
	}
	r := l.Stop()
	t.Logf("%d held rollouts of queue\n%s", n, r)
	if !r.Clean() {
		t.Errorf("lost %d, unsent %d", r.Lost(), r.Unsent())
	}
}
