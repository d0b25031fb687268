package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

func TestExitCode_TellsOutcomesApart(t *testing.T) {
	ended := func(state string, cause *steady.Error) error { return &unfinished{state: state, cause: cause} }
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{steady.ErrInternal, 1},
		{steady.ErrNotRunning, 1},
		{errDeclined, 1},
		{steady.ErrUsage, 2},
		{steady.ErrCompose, 2},
		{steady.ErrNoService, 2},
		{steady.ErrNoProject, 2},
		{steady.ErrNoRelease, 2},
		{steady.ErrNoRollout, 2},
		{steady.ErrUnsupported, 2},
		{steady.ErrNoImage, 3},
		{steady.ErrBuild, 3},
		{steady.ErrPortTaken, 3},
		{ended(steady.RolloutFailed, steady.ErrExited), 3},
		{ended(steady.RolloutFailed, steady.ErrNotReady), 3},
		{ended(steady.RolloutFailed, steady.ErrInternal), 3},
		{ended(steady.RolloutAborted, steady.ErrAborted), 3},
		{ended(steady.RolloutRolledBack, steady.ErrExited), 4},
		{ended(steady.RolloutRolledBack, steady.ErrNoEngine), 4},
		{ended(steady.RolloutPaused, steady.ErrExited), 6},
		{steady.ErrNoDaemon.With("away", ""), 10},
		{fmt.Errorf("deploy: %w", steady.ErrBusy), 11},
		{steady.ErrNoEngine, 12},
		{ended(steady.RolloutFailed, steady.ErrNoEngine), 12},
		{steady.ErrStore, 13},
		{ended(steady.RolloutFailed, steady.ErrStore), 13},
		{steady.ErrNoProxy, 14},
		{errInterrupted, 130},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit status %d, want %d", c.err, got, c.want)
		}
	}
}

// TestExitCode_NeverClaimsTheLossBudget holds until an issue brings the budget.
func TestExitCode_NeverClaimsTheLossBudget(t *testing.T) {
	for _, state := range []string{steady.RolloutFailed, steady.RolloutRolledBack, steady.RolloutPaused, steady.RolloutAborted} {
		if got := exitCode(&unfinished{state: state, cause: steady.ErrInternal}); got == exitLossBudget {
			t.Errorf("%s: exit status %d", state, got)
		}
	}
}

func TestHelp_OfEveryCommandTellsTheExitStatus(t *testing.T) {
	walk(newSession(nil, nil, nil, nil).root(), func(c *cobra.Command) {
		if c.Name() == "help" {
			return
		}
		var out bytes.Buffer
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		code := Run(t.Context(), args, nil, nil, &out, &out)
		if code != 0 || !strings.Contains(out.String(), "Exit status:\n  0    done") || !strings.Contains(out.String(), "130  interrupted") {
			t.Errorf("%s: exit status %d, help:\n%s", c.CommandPath(), code, out.String())
		}
	})
}

// walk visits every command that a person may find.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	if c.Hidden {
		return
	}
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}

func TestRun_InterruptDetachesAndLeavesTheRolloutAlone(t *testing.T) {
	dir, err := os.MkdirTemp("", "cli")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &fakeDaemon{calls: filepath.Join(dir, "calls")}
	if err := d.load([]byte(`{"hang": true, "rollout": {"id": 7, "project": "shop"}, "events": [{"kind": "accepted"}]}`)); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "steady.sock")
	serveFake(t, d, socket)

	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, stderr bytes.Buffer
	code := make(chan int)
	go func() {
		code <- Run(ctx, []string{"--socket", socket, "-p", "shop", "rollback"}, nil, nil, &out, &stderr)
	}()
	waitFor(t, func() bool { b, _ := os.ReadFile(d.calls); return bytes.Contains(b, []byte("hanging")) })
	interrupt()
	if got := <-code; got != 130 {
		t.Errorf("exit status %d", got)
	}
	want := "steady: rollout 7 goes on without you\n" +
		"steady: hint: steady watch 7 comes back to it, steady abort stops it\n"
	if stderr.String() != want || out.Len() > 0 {
		t.Errorf("stdout %q, stderr:\n%s", out.String(), stderr.String())
	}
	if b, _ := os.ReadFile(d.calls); bytes.Contains(b, []byte("abort")) {
		t.Errorf("the daemon was asked to abort:\n%s", b)
	}
}

func TestRun_InterruptOfWhatOnlyLooksIsNoError(t *testing.T) {
	dir, err := os.MkdirTemp("", "cli")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &fakeDaemon{calls: filepath.Join(dir, "calls")}
	socket := filepath.Join(dir, "steady.sock")
	serveFake(t, d, socket)
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("interrupt signal received")) // as signal.NotifyContext does
	var out, stderr bytes.Buffer
	if got := Run(ctx, []string{"--socket", socket, "-p", "shop", "logs", "-f"}, nil, nil, &out, &stderr); got != 130 || stderr.Len() > 0 {
		t.Errorf("exit status %d, stderr:\n%s", got, stderr.String())
	}
}

func TestComplain_IndentsWhatFollowsTheFirstLine(t *testing.T) {
	var stderr bytes.Buffer
	s := newSession(nil, nil, nil, &stderr)
	e := steady.ErrCompose.With("compose.yaml: two faults:\n- a\n- b", "mend it")
	e.Tail = []string{"last \x1b[2Jwords"}
	s.complain(e)
	want := "steady: error: compose.yaml: two faults:\n  - a\n  - b\n  last [2Jwords\nsteady: hint: mend it\n"
	if stderr.String() != want {
		t.Errorf("got:\n%s", stderr.String())
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	end, tick := time.After(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-end:
			t.Fatal("it did not happen within 10 s")
		case <-tick.C:
		}
	}
}
