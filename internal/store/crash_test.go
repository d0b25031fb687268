package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/store"
)

// victimOf makes the test binary a victim: it writes to the store at that path
// until it is killed.
const victimOf = "STEADY_STORE_VICTIM"

// victim writes events and routes and prints each one's number once the store
// has taken it.
func victim(path string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("victim:", err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	s, err := store.Open(path)
	fail(err)
	r := steady.Rollout{Project: "shop", Kind: steady.KindDeploy}
	fail(s.Accept(ctx, &r, []steady.Release{{Spec: spec("shop", "api")}}))
	for {
		e := steady.Event{Rollout: r.ID, Kind: steady.EventProgress, Text: strings.Repeat("x", 500)}
		fail(s.Event(ctx, &e))
		fail(s.Begin(ctx, r.ID, fmt.Sprint(e.Seq)))
		fail(s.PutRoutes(ctx, []steady.Route{{Project: "shop", Service: "api", Release: int(e.Seq)}}))
		fmt.Println(r.ID, e.Seq)
	}
}

func TestStore_KilledWhileWritingKeepsAllItAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steady.db")
	for round, writes := range []int{1, 40, 300} {
		rollout, acknowledged := killed(t, path, writes)
		s, err := store.Open(path)
		try(t, err)
		events, err := s.Events(t.Context(), rollout, 0)
		try(t, err)
		routes, err := s.Routes(t.Context(), "shop")
		try(t, err)
		_, begun, _, err := s.Progress(t.Context(), rollout)
		try(t, err)
		if len(events) < acknowledged || len(begun) < acknowledged || routes[0].Release < acknowledged {
			t.Errorf("round %d: %d events, %d steps and route %d are there of %d acknowledged",
				round, len(events), len(begun), routes[0].Release, acknowledged)
		}
		unfinished, err := s.Unfinished(t.Context())
		try(t, err)
		if len(unfinished) != round+1 {
			t.Errorf("round %d: %d unfinished rollouts, want %d", round, len(unfinished), round+1)
		}
		try(t, s.Close())
	}
}

// killed runs a victim until it has acknowledged so many writes, kills it, and
// returns its rollout and the last write it acknowledged.
func killed(t *testing.T, path string, writes int) (rollout int64, acknowledged int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimOf+"="+path)
	out, err := cmd.StdoutPipe()
	try(t, err)
	try(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() { // on after the kill: what stands in the pipe was acknowledged too
		if _, err := fmt.Sscan(lines.Text(), &rollout, &acknowledged); err != nil {
			t.Errorf("%s", lines.Text())
		}
		if acknowledged == writes {
			try(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait() // killed
	if acknowledged < writes {
		t.Fatalf("the victim ended after %d writes", acknowledged)
	}
	return rollout, acknowledged
}
