package command_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gesalpai.ch/steady/internal/command"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func run(t *testing.T, ctx context.Context, line string, env ...string) (int, []string, error) {
	t.Helper()
	var got []string
	code, err := command.Host{}.Run(ctx, t.TempDir(), []string{"/bin/sh", "-c", line}, env, nil, func(l string) { got = append(got, l) })
	return code, got, err
}

func TestHost_TellsOutputAndExitCode(t *testing.T) {
	code, out, err := run(t, t.Context(), "echo one; echo two >&2; printf three; exit 7")
	if err != nil || code != 7 || !slices.Equal(out, []string{"one", "two", "three"}) {
		t.Errorf("code %d, output %q, %v", code, out, err)
	}
	if code, _, err := run(t, t.Context(), "kill -9 $$"); code != 137 || err != nil {
		t.Errorf("killed: code %d, %v", code, err)
	}
	if _, err := (command.Host{}).Run(t.Context(), "/", []string{"/no/such"}, nil, nil, func(string) {}); err == nil || !strings.Contains(err.Error(), "run such: no such file") {
		t.Errorf("no such program: %v", err)
	}
	if _, err := (command.Host{}).Run(t.Context(), "/", []string{"notify --token hunter2"}, nil, nil, func(string) {}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a line that was not split: %v", err)
	}
}

func TestHost_GivesNoMoreOfItsEnvironmentThanTheNamed(t *testing.T) {
	t.Setenv("SECRET", "x")
	_, out, err := run(t, t.Context(), "env", "STEADY_HOOK=after")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range out {
		name, _, _ := strings.Cut(line, "=")
		if !slices.Contains([]string{"PATH", "HOME", "LANG", "STEADY_HOOK", "PWD", "SHLVL", "_"}, name) { // the last three are the shell's
			t.Errorf("it has %s", name)
		}
	}
	if !slices.Contains(out, "STEADY_HOOK=after") {
		t.Errorf("environment %v", out)
	}
}

// gone says whether the process named in the file has ended.
func gone(t *testing.T, file string) func() bool {
	return func() bool {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ") || syscall.Kill(pid, 0) != nil
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(20 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it did not come to pass that " + what)
		}
	}
}

var errLate = errors.New("late")

func TestHost_EndsTheWholeGroupWhenItsTimeIsUp(t *testing.T) {
	child := filepath.Join(t.TempDir(), "child")
	ctx, cancel := context.WithCancelCause(t.Context())
	var out []string
	say := func(l string) {
		out = append(out, l)
		if l == "ready" {
			cancel(errLate)
		}
	}
	line := "trap 'echo ending; exit 0' TERM; (trap '' TERM; sleep 600) & echo $! > " + child + "; echo ready; wait"
	_, err := command.Host{}.Run(ctx, "/", []string{"/bin/sh", "-c", line}, nil, nil, say)
	if !errors.Is(err, errLate) || !slices.Contains(out, "ending") {
		t.Errorf("%v, output %q", err, out)
	}
	eventually(t, "the child that heeds no signal is gone", gone(t, child))
}

func TestHost_KillsWhatHeedsNoSignal(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	say := func(string) { cancel(errLate) }
	began := time.Now()
	_, err := command.Host{}.Run(ctx, "/", []string{"/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"}, nil, nil, say)
	if took := time.Since(began); !errors.Is(err, errLate) || took < 4*time.Second || took > 15*time.Second {
		t.Errorf("%v after %s", err, took)
	}
}

func TestHost_ReadsItsInput(t *testing.T) {
	var out []string
	code, err := command.Host{}.Run(t.Context(), "/", []string{"cat"}, nil, strings.NewReader("a\nb"), func(l string) { out = append(out, l) })
	if code != 0 || err != nil || !slices.Equal(out, []string{"a", "b"}) {
		t.Errorf("code %d, %v, %q", code, err, out)
	}
}
