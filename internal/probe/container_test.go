package probe_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/probe"
)

func TestExec_AsksAtItsOwnIntervalAndTellsWhatItWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.exec = func(context.Context) (int, string, error) { return 2, "checking\nno response\n\n", nil }
		p := steady.Probe{Kind: steady.ProbeExec, Command: []string{"pg_isready", "-q"}, Deadline: 2450 * time.Millisecond}
		_, err := probe.New(box, nil).Ready(t.Context(), name, p)
		checkError(t, err, steady.ErrNotReady, name+` answered exit code 2 to "pg_isready", 10 times in 2.5s: no response`)
		for i, at := range box.asked[1:] {
			if pause := at.Sub(box.asked[i]); pause != steady.DefaultExecInterval {
				t.Errorf("asked again after %v", pause)
			}
		}
	})
}

func TestExec_RisesAtItsOwnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.exec = func(context.Context) (int, string, error) { return 0, "", nil }
		p := steady.Probe{Kind: steady.ProbeExec, Command: []string{"true"}, Rise: 3}
		said, err := probe.New(box, nil).Ready(t.Context(), name, p)
		if err != nil || said != "exit 0 true after 500ms" {
			t.Errorf("said %q, %v", said, err)
		}
	})
}

// TestExec_NeverTellsTheArguments: they are where people put a password.
func TestExec_NeverTellsTheArguments(t *testing.T) {
	for _, argv := range [][]string{
		{"redis-cli", "-a", "hunter2", "ping"},
		{"redis-cli -a hunter2 ping"},
		{"/bin/sh", "-c", "REDISCLI_AUTH=hunter2 redis-cli -a hunter2 ping || exit 1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			box, good := running(), 0
			box.exec = func(context.Context) (int, string, error) { good++; return min(1, max(0, 3-good)), "", nil }
			p := steady.Probe{Kind: steady.ProbeExec, Command: argv}
			said, err := probe.New(box, nil).Ready(t.Context(), name, p)
			if err != nil || !strings.HasPrefix(said, "exit 0 redis-cli after ") {
				t.Errorf("%q: said %q, %v", argv, said, err)
			}
			box.exec = func(context.Context) (int, string, error) { return 1, "", nil }
			p.Deadline = 950 * time.Millisecond
			_, err = probe.New(box, nil).Ready(t.Context(), name, p)
			checkError(t, err, steady.ErrNotReady, name+` answered exit code 1 to "redis-cli", 4 times in 950ms`)
		})
	}
}

func TestExec_CommandThatHangsIsCutAtItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.exec = func(ctx context.Context) (int, string, error) { <-ctx.Done(); return 0, "", ctx.Err() }
		p := steady.Probe{Kind: steady.ProbeExec, Command: []string{"sleep", "9"}, Timeout: time.Second, Deadline: 5 * time.Second}
		_, err := probe.New(box, nil).Ready(t.Context(), name, p)
		checkError(t, err, steady.ErrNotReady, name+` did not end "sleep" within 1s, 4 times in 5s`)
	})
}

func TestDocker_AwaitsTheEnginesHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.replica.Health = steady.HealthStarting
		box.after(1010*time.Millisecond, func(r *steady.Replica) { r.Health = steady.HealthHealthy })
		said, err := probe.New(box, nil).Ready(t.Context(), name, steady.Probe{Kind: steady.ProbeDocker})
		if err != nil || said != "healthy after 1.1s" {
			t.Errorf("said %q, %v", said, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.replica.Health = steady.HealthStarting
		_, err := probe.New(box, nil).Ready(t.Context(), name, steady.Probe{Kind: steady.ProbeDocker, Deadline: 2 * time.Minute})
		checkError(t, err, steady.ErrNotReady, name+" stayed starting by its own healthcheck for 2m")
	})
}

func TestRunning_MustStayUpUntilItHasSettled(t *testing.T) {
	p := steady.Probe{Kind: steady.ProbeRunning, Settle: 3 * time.Second, Deadline: time.Second}
	synctest.Test(t, func(t *testing.T) {
		said, err := probe.New(running(), nil).Ready(t.Context(), name, p)
		if err != nil || said != "running for 3s after 3s" {
			t.Errorf("said %q, %v", said, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.after(2990*time.Millisecond, func(r *steady.Replica) { r.State = steady.StateExited })
		_, err := probe.New(box, nil).Ready(t.Context(), name, p)
		checkError(t, err, steady.ErrExited, name+" exited with code 0")
	})
}

func TestReady_UnknownKindIsUnsupported(t *testing.T) {
	if _, err := probe.New(running(), nil).Ready(t.Context(), name, steady.Probe{Kind: "gopher"}); !errors.Is(err, steady.ErrUnsupported) {
		t.Errorf("%v, want ErrUnsupported", err)
	}
}
