package cli

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "write docs/reference.md anew")
	}
	testscript.Main(m, map[string]func(){"steady": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
	}})
}

// TestScripts runs the command line as a process of its own against a fake
// daemon. Besides testscript's own commands: `daemon FILE` puts a scenario in
// force and starts the daemon, `exits N steady …` wants an exit status, and the
// file "calls" holds what the daemon was asked.
func TestScripts(t *testing.T) {
	daemons := func(ts *testscript.TestScript) *fakeDaemon { return ts.Value(key{}).(*fakeDaemon) }
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			dir, err := os.MkdirTemp("", "cli") // a socket's path must be short
			if err != nil {
				return err
			}
			e.Defer(func() { _ = os.RemoveAll(dir) })
			e.Setenv("STEADY_SOCKET", filepath.Join(dir, "steady.sock"))
			e.Setenv("USER", "eva")
			e.Setenv("GORACE", "atexit_sleep_ms=50") // else each command takes a second to end
			e.Values[key{}] = &fakeDaemon{calls: filepath.Join(e.WorkDir, "calls")}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": func(ts *testscript.TestScript, _ bool, args []string) {
				d, first := daemons(ts), daemons(ts).aborted == nil
				ts.Check(d.load([]byte(ts.ReadFile(args[0]))))
				if first {
					serveFake(deferring{ts}, d, ts.Getenv("STEADY_SOCKET"))
				}
			},
			"exits": exits,
		},
	})
}

type key struct{}

// deferring lets a script own what a test would.
type deferring struct{ *testscript.TestScript }

func (d deferring) Cleanup(f func()) { d.Defer(f) }
func (d deferring) Fatal(v ...any)   { d.Fatalf("%v", v) }
