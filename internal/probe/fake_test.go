package probe_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/probe"
	"gesalpai.ch/steady/internal/rollout"
	"go.uber.org/goleak"
)

var _ rollout.Prober = (*probe.Prober)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const name = "shop-api-42-1"

// container is a container as the Engine would show it, changed by the test while
// it is probed.
type container struct {
	mu       sync.Mutex
	replica  steady.Replica
	gone     bool
	engine   error // what the Engine answers instead
	exec     func(ctx context.Context) (int, string, error)
	slow     time.Duration // an inspection takes, once the first is done
	inspects int
	looking  int         // inspections that run
	asked    []time.Time // commands
}

// running is a container that was started just now and uses the host's network.
func running() *container {
	return &container{replica: steady.Replica{
		Name: name, Service: "api", Release: 42, State: steady.StateRunning, Started: time.Now(), HostNet: true,
	}}
}

// become changes the container, at once or after a while.
func (c *container) become(change func(*steady.Replica)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.replica)
}

func (c *container) after(d time.Duration, change func(*steady.Replica)) {
	time.AfterFunc(d, func() { c.become(change) })
}

func (c *container) Replica(ctx context.Context, _ string) (steady.Replica, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inspects++
	if c.inspects > 1 {
		c.looking++
		c.mu.Unlock()
		time.Sleep(c.slow) // of synctest's time
		c.mu.Lock()
		c.looking--
	}
	switch {
	case ctx.Err() != nil:
		return steady.Replica{}, ctx.Err()
	case c.gone:
		return steady.Replica{}, steady.ErrNoReplica.With("no container "+name, "")
	case c.engine != nil:
		return steady.Replica{}, c.engine
	}
	return c.replica, nil
}

func (c *container) Exec(ctx context.Context, _ string, _ []string) (int, string, error) {
	c.mu.Lock()
	c.asked = append(c.asked, time.Now())
	c.mu.Unlock()
	return c.exec(ctx)
}

func (c *container) Tail(_ context.Context, _ string, n int) ([]string, error) {
	lines := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "panic: no config", "exit status 3"}
	return lines[len(lines)-n:], nil
}

// serve answers HTTP over in-memory connections, so that time may be synctest's.
// Until it is up, connections are refused with down.
type serve struct {
	up      time.Time
	down    error
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
	dialled []string
}

func served(t *testing.T, up time.Time, down error, h http.HandlerFunc) *serve {
	t.Helper()
	s := &serve{up: up, down: down, conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(s) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return s
}

func (s *serve) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	s.dialled = append(s.dialled, addr)
	if time.Now().Before(s.up) {
		return nil, s.down
	}
	here, there := net.Pipe()
	select {
	case s.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *serve) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *serve) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *serve) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }
