package daemon

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// TestRoute_WhatIsAdoptedStaysOnLoopback takes over a port that another process has,
// until that has gone.
func TestRoute_WhatIsAdoptedStaysOnLoopback(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	p := newPlane(t)
	foreignly(t, p.port)
	r := p.route("api-1")
	r.Redirect = true
	t.Cleanup(func() {
		gone := r
		gone.Gone, gone.Redirect = true, false
		if err := p.Route(context.Background(), []steady.Route{gone}); err != nil {
			t.Error(err)
		}
	})
	p.serve(t, r)
	if got := p.status(t); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
	table, err := p.proxy.Table(t.Context())
	if err != nil || len(table.Listeners) != 1 || table.Listeners[0].Host != "127.0.0.1" {
		t.Errorf("listeners %+v, %v", table.Listeners, err)
	}
}

// TestRoute_ARedirectHalfMadeIsTakenBack has iptables fail between its two hooks.
func TestRoute_ARedirectHalfMadeIsTakenBack(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	p := newPlane(t)
	real, err := exec.LookPath("iptables")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := "#!/bin/sh\ncase \"$*\" in *'-I OUTPUT'*) exit 4;; esac\nexec " + real + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "iptables"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if _, err := p.refresh(t.Context()); err != nil { // from here on nothing is known to be redirected
		t.Fatal(err)
	}
	foreignly(t, p.port)
	r := p.route("api-1")
	r.Redirect = true
	p.engine.set("api-1", steady.StateRunning, 1)
	if err := p.Route(t.Context(), []steady.Route{r}); err == nil {
		t.Error("no error")
	}
	rules, err := exec.Command(real, "-w", "5", "-t", "nat", "-S").CombinedOutput()
	if err != nil || strings.Contains(string(rules), p.adopts.chain) {
		t.Errorf("%v: left\n%s", err, rules)
		_ = listen.Adopt(context.Background(), p.adopts.chain, nil)
	}
}

// apart is a process in a network of its own, at 10.79.0.2, where port 7000 accepts and
// is silent; within runs a command there.
func apart(t *testing.T) (pid int, within func(args ...string) *exec.Cmd) {
	t.Helper()
	cmd := exec.Command("unshare", "-n", "sh", "-c", "ip link set lo up && ip addr add 10.79.0.2/32 dev lo && echo up && exec cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	pid = cmd.Process.Pid
	ln, err := listen.Within(t.Context(), pid, 7000)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return pid, func(args ...string) *exec.Cmd {
		return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(pid), "-n"}, args...)...)
	}
}

// TestLeave_AReplicaThatStaysHasItsCallersAgain breaks a drain off: the undo may
// remove the holder to which the callers were sent.
func TestLeave_AReplicaThatStaysHasItsCallersAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	p := newPlane(t)
	pid, within := apart(t)
	caller := within("bash", "-c", "exec 3<>/dev/tcp/10.79.0.2/7000; exec cat <&3")
	if err := caller.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caller.Process.Kill(); _ = caller.Wait() })
	eventually(t, func() bool { n, err := listen.Connected(pid); return err == nil && n == 1 })

	p.engine.replicas["old"] = steady.Replica{ID: "old", Name: "old", State: steady.StateRunning, PID: pid, Addresses: map[string]string{"net": "10.79.0.2"}}
	p.held["shop/api"] = steady.Holder{Project: "shop", Service: "api", Addresses: map[string]string{"net": "10.79.0.3"}}
	diverts := func() bool {
		rules, _ := within("iptables", "-t", "nat", "-S").CombinedOutput()
		return strings.Contains(string(rules), "--to-destination 10.79.0.3")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() {
		_, err := p.Leave(ctx, "shop/api", "old", steady.Drain{Requests: -1})
		done <- err
	}()
	eventually(t, diverts)
	cancel(steady.ErrAborted)
	if err := <-done; !errors.Is(err, steady.ErrAborted) {
		t.Errorf("error %v", err)
	}
	if diverts() {
		t.Error("its callers are still sent to the holder")
	}
}

func TestRouter_AnEngineThatDoesNotAnswerIsNoReasonToStopWhoIsConnected(t *testing.T) {
	p := newPlane(t)
	if _, err := p.Leave(t.Context(), "shop/api", "old", steady.Drain{}); err != nil {
		t.Errorf("a replica that is gone: %v", err)
	}
	p.engine.fails = steady.ErrNoEngine
	if _, err := p.Leave(t.Context(), "shop/api", "old", steady.Drain{}); !errors.Is(err, steady.ErrNoEngine) {
		t.Errorf("an Engine that is away: %v", err)
	}
}

// TestLeave_TellsQuietConnectionsFromThoseWithAQuestionOut: those of a container that is
// taken over are not ours to end, but the moment of its stop is.
func TestLeave_TellsQuietConnectionsFromThoseWithAQuestionOut(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	p := newPlane(t)
	pid, within := apart(t)
	p.engine.replicas["old"] = steady.Replica{ID: "old", Name: "old", State: steady.StateRunning, PID: pid}
	calls := func(first string) {
		caller := within("bash", "-c", "exec 3<>/dev/tcp/10.79.0.2/7000; printf '"+first+"' >&3; exec cat <&3")
		if err := caller.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = caller.Process.Kill(); _ = caller.Wait() })
	}
	leaves := func(patience time.Duration, want steady.Drained) {
		t.Helper()
		eventually(t, func() bool { n, err := listen.Connected(pid); return err == nil && n == want.Streams })
		got, err := p.Leave(t.Context(), "shop/api", "old", steady.Drain{Quiet: patience})
		if err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	calls("")
	leaves(time.Minute, steady.Drained{Streams: 1, StreamsQuiet: 1})
	calls("a question")
	leaves(time.Second, steady.Drained{Streams: 2, StreamsQuiet: 1, StreamsCut: 1})
}
