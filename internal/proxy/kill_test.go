package proxy_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
	"gesalpai.ch/steady/internal/proxy"
)

const kills = 20

// keeper starts proxies and hands each the listeners of the one before.
type keeper struct {
	t      *testing.T
	dir    string
	client *proxy.Client
	copies []listen.Handle
	cmd    *exec.Cmd
}

func newKeeper(t *testing.T) *keeper {
	t.Helper()
	dir, err := os.MkdirTemp("", "px")
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{t: t, dir: dir, client: proxy.NewClient(filepath.Join(dir, "p.sock"))}
	t.Cleanup(func() { k.kill(); k.drop(); os.RemoveAll(dir) })
	return k
}

func (k *keeper) start() {
	k.t.Helper()
	k.cmd = exec.Command(os.Args[0], "-test.run=^TestKilledProxy$")
	k.cmd.Env = append(os.Environ(), "STEADY_TEST_PROXY="+k.dir)
	listen.Bequeath(k.cmd, k.copies)
	k.cmd.Stderr = os.Stderr
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	eventually(k.t, "proxy answers", func() bool { pid, _ := k.client.Ping(k.t.Context()); return pid == k.cmd.Process.Pid })
}

// copy takes the listeners of the proxy that runs.
func (k *keeper) copy() {
	k.t.Helper()
	hs, err := k.client.Listeners(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	k.drop()
	k.copies = hs
}

func (k *keeper) drop() {
	for _, h := range k.copies {
		h.File.Close()
	}
	k.copies = nil
}

func (k *keeper) kill() {
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
}

// TestKilledProxy is that proxy; run by itself it does nothing.
func TestKilledProxy(t *testing.T) {
	dir := os.Getenv("STEADY_TEST_PROXY")
	if dir == "" {
		return
	}
	inherited, err := proxy.Inherited(os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Options{Socket: filepath.Join(dir, "p.sock"), TableFile: filepath.Join(dir, "t.json"), Inherited: inherited})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// callers connect anew for every request until stopped, and count who was refused.
type callers struct {
	answered, refused, broken atomic.Int64
	wg                        sync.WaitGroup
	stop                      chan struct{}
}

func startCallers(addrs ...string) *callers {
	l := &callers{stop: make(chan struct{})}
	for _, addr := range addrs {
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(time.Millisecond):
					l.call(addr)
				}
			}
		})
	}
	return l
}

func (l *callers) call(addr string) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), err != nil && !errors.Is(err, syscall.ECONNRESET):
		l.refused.Add(1)
		return
	case err != nil: // accepted, and the proxy was killed at once
		l.broken.Add(1)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if b, err := io.ReadAll(c); err != nil || len(b) == 0 {
		l.broken.Add(1)
		return
	}
	l.answered.Add(1)
}

func (l *callers) end() {
	close(l.stop)
	l.wg.Wait()
}

// killUnderLoad kills the proxy again and again while callers call, at a
// published port and by name.
func killUnderLoad(t *testing.T, k *keeper) *callers {
	t.Helper()
	serveAt(t, 1, 8000, &http.Server{Handler: says("a")})
	ln := holderListener(t)
	k.start()
	lend(t, k.client, ln)
	ln.Close()
	port := freePort(t)
	r := &innerRig{&rig{t: t}}
	table := r.table(replica(1))
	up := replica(1)
	up.Addr += ":8000"
	table.Listeners = append(table.Listeners, steady.Listener{Host: "127.0.0.1", Port: port, Protocol: steady.Auto, Pool: poolName})
	table.Pools = append(table.Pools, steady.Pool{Name: poolName, Upstreams: []steady.Upstream{up}})
	if err := k.client.Serve(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	published := fmt.Sprintf("127.0.0.1:%d", port)
	l := startCallers(published, published, in(8000), in(8000))
	for range kills {
		k.copy()
		so := l.answered.Load()
		eventually(t, "calls are answered", func() bool { return l.answered.Load() > so+20 })
		k.kill()
		k.start()
	}
	so := l.answered.Load()
	eventually(t, "calls are answered", func() bool { return l.answered.Load() > so+20 })
	l.end()
	t.Logf("%d answered, %d refused, %d broken off in flight", l.answered.Load(), l.refused.Load(), l.broken.Load())
	return l
}

func TestKill_ProxyWhoseListenersAreKeptRefusesNobody(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	l := killUnderLoad(t, newKeeper(t))
	if n := l.refused.Load(); n != 0 {
		t.Errorf("%d refused", n)
	}
	if n := l.broken.Load(); n > 4*kills { // as many as call at once
		t.Errorf("%d broken off", n)
	}
}

// The control: without copies the same must refuse.
func TestKill_ControlWithoutCopiesRefuses(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	k := newKeeper(t)
	serveAt(t, 1, 8000, &http.Server{Handler: says("a")})
	k.start()
	port := freePort(t)
	up := replica(1)
	up.Addr += ":8000"
	err := k.client.Serve(t.Context(), steady.Table{
		Version:   1,
		Listeners: []steady.Listener{{Host: "127.0.0.1", Port: port, Protocol: steady.Auto, Pool: poolName}},
		Pools:     []steady.Pool{{Name: poolName, Upstreams: []steady.Upstream{up}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := startCallers(fmt.Sprintf("127.0.0.1:%d", port))
	eventually(t, "calls are answered", func() bool { return l.answered.Load() > 20 })
	k.kill()
	k.start()
	eventually(t, "calls are answered", func() bool { return l.answered.Load() > 40 })
	l.end()
	if l.refused.Load() == 0 {
		t.Error("nobody was refused: the callers are blind")
	}
}
