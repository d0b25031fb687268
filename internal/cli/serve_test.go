package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
)

func TestProxy_ServesUntilInterruptedAndExitsZero(t *testing.T) {
	dir, err := os.MkdirTemp("", "cli")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, log bytes.Buffer
	code := make(chan int)
	go func() {
		args := []string{"proxy", "--run-dir", dir, "--state", filepath.Join(dir, "state"), "--log-format", "json"}
		code <- Run(ctx, args, nil, nil, &out, &log)
	}()
	waitFor(t, func() bool { _, err := os.Stat(filepath.Join(dir, "proxy.sock")); return err == nil })
	interrupt()
	if got := <-code; got != 0 || out.Len() > 0 || !bytes.HasPrefix(log.Bytes(), []byte(`{"time":`)) {
		t.Errorf("exit status %d, stdout %q, log:\n%s", got, out.String(), log.String())
	}
}

func TestDaemon_RefusesWhereOneRuns(t *testing.T) {
	dir, err := os.MkdirTemp("", "cli")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &fakeDaemon{calls: filepath.Join(dir, "calls")}
	serveFake(t, d, filepath.Join(dir, "steady.sock"))
	var out, stderr bytes.Buffer
	code := Run(t.Context(), []string{"daemon", "--run-dir", dir, "--state", filepath.Join(dir, "state")}, nil, nil, &out, &stderr)
	if code != 1 || !bytes.Contains(stderr.Bytes(), []byte("steady: error: a steady daemon already runs on "+dir)) {
		t.Errorf("exit status %d, stderr:\n%s", code, stderr.String())
	}
}
