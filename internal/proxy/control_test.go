package proxy_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

func TestControl_SocketIsForItsOwnerOnly(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{})
	for path, want := range map[string]os.FileMode{
		r.options.Socket: 0o600, filepath.Dir(r.options.Socket): 0o700, r.options.TableFile: 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s is %o, want %o", filepath.Base(path), got, want)
		}
	}
}

// Even where the file's mode lets another user connect, the peer's uid does not.
func TestControl_AnotherUserIsTurnedAway(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	if sock := os.Getenv("STEADY_TEST_SOCKET"); sock != "" {
		c, err := net.Dial("unix", sock)
		if err != nil {
			t.Fatalf("cannot even connect: %v", err)
		}
		c.Close()
		if _, err := proxy.NewClient(sock).Ping(t.Context()); !errors.Is(err, steady.ErrNoProxy) {
			t.Fatalf("was let in: %v", err)
		}
		return
	}
	r := newRig(t, steady.Auto, proxy.Limits{})
	bin := filepath.Join(filepath.Dir(r.options.TableFile), "test")
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, b, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(bin), filepath.Dir(r.options.Socket), r.options.Socket} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(bin, "-test.run=^TestControl_AnotherUserIsTurnedAway$")
	cmd.Dir = filepath.Dir(bin)
	cmd.Env = []string{"STEADY_TEST_SOCKET=" + r.options.Socket, "TMPDIR=" + filepath.Dir(bin)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := r.client.Ping(t.Context()); err != nil {
		t.Errorf("the owner is turned away: %v", err)
	}
}

func TestControl_SecondProxyIsRefusedAndAStaleSocketIsNot(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{})
	second, err := proxy.New(r.options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := second.Run(ctx); err == nil {
		t.Error("two proxies at one socket")
	}
	if _, err := r.client.Ping(t.Context()); err != nil {
		t.Errorf("the first one suffered: %v", err)
	}
	r.stop()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: r.options.Socket})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close() // its file stays, as after a kill
	r.start()
}

func TestRun_EndLetsRequestsInFlightFinish(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	u := backend(t, "a", 1, slow(entered, release))
	r := newRig(t, steady.Auto, proxy.Limits{Grace: 10 * time.Second}, u)
	idle, busy := r.dial(), r.dial()
	idle.send("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
	res := idle.response()
	res.Body.Close()
	busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	done := make(chan struct{})
	go func() { defer close(done); r.stop() }()
	eventually(t, "it stops accepting", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	idle.send("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
	if res := idle.response(); res.StatusCode != 200 || !res.Close {
		t.Errorf("idle one: %s, close=%v", res.Status, res.Close)
	}
	close(release)
	if res := busy.response(); res.StatusCode != 200 || !res.Close {
		t.Errorf("busy one: %s, close=%v", res.Status, res.Close)
	}
	within(t, "end", done)
}
