package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"gesalpai.ch/steady/internal/proxy"
)

func accessOf(t *testing.T, args ...string) accessFlags {
	t.Helper()
	var f accessFlags
	fs := pflag.NewFlagSet("steady", pflag.ContinueOnError)
	f.add(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := f.absolute(); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAccessFlags_ReachTheProxyThatTheDaemonStartsAsTheyAre(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want proxy.AccessLogStatus
	}{
		"off":                {nil, proxy.AccessLogStatus{}},
		"a file":             {[]string{"--access-log", "a.log"}, proxy.AccessLogStatus{On: true, Path: filepath.Join(wd, "a.log"), Format: "json"}},
		"standard output":    {[]string{"--access-log", "-", "--access-log-format", "combined"}, proxy.AccessLogStatus{On: true, Format: "combined"}},
		"with query strings": {[]string{"--access-log", "/a.log", "--access-log-query"}, proxy.AccessLogStatus{On: true, Path: "/a.log", Format: "json", Query: true}},
	} {
		f := accessOf(t, c.args...)
		child := accessOf(t, f.arguments()...)
		if f.wish() != c.want || child.wish() != c.want || !slices.Equal(child.arguments(), f.arguments()) {
			t.Errorf("%s: %+v, its child %+v, want %+v", name, f.wish(), child.wish(), c.want)
		}
		var stdout bytes.Buffer
		o := child.options(&stdout)
		if o.Path != c.want.Path || (o.Writer != nil) != (c.want.On && c.want.Path == "") {
			t.Errorf("%s: options %+v", name, o)
		}
	}
}

// TestProxy_OpensItsAccessLogAnewAtASignal sends the signals to this very process.
func TestProxy_OpensItsAccessLogAnewAtASignal(t *testing.T) {
	dir, err := os.MkdirTemp("", "cli")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "access.log")
	p, err := proxy.New(proxy.Options{Socket: filepath.Join(dir, "p.sock"), TableFile: filepath.Join(dir, "t.json"), Access: proxy.AccessLog{Path: path}})
	if err != nil {
		t.Fatal(err)
	}
	stop := reopening(p)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- p.Run(ctx) }()
	there := func() bool { _, err := os.Stat(path); return err == nil }
	for _, sig := range []syscall.Signal{0, syscall.SIGHUP, syscall.SIGUSR1} {
		if sig != 0 {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(os.Getpid(), sig); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, there)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the proxy does not end")
	}
	stop()
}
