package inner_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gesalpai.ch/steady/test/inner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving serves a release on the address until stop is called.
func serving(t *testing.T, addr, release string) (at string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := (&inner.Server{Release: release}).Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

func TestSession_IsGreetedAsksAndQuits(t *testing.T) {
	addr, _ := serving(t, "127.0.0.1:0", "3")
	s, err := inner.Open(t.Context(), addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Ask("ECHO a b"), s.Bulk(1<<20), s.Quiet(time.Millisecond), s.Ask("ECHO again"), s.Quit()); err != nil || s.Release != 3 {
		t.Errorf("release %d, %v", s.Release, err)
	}
}

func TestOpen_TellsRefusedFromUngreeted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	})
	for _, want := range []string{inner.PhaseGreeting, inner.PhaseRefused} {
		_, err := inner.Open(t.Context(), l.Addr().String(), 5*time.Second)
		var f *inner.Fault
		if !errors.As(err, &f) || f.Phase != want {
			t.Errorf("%v, want phase %s", err, want)
		}
		wg.Wait()
		l.Close()
	}
}

func TestClients_CountEndsAndFailedConnectsOfAServerThatStops(t *testing.T) {
	addr, stop := serving(t, "127.0.0.1:0", "1")
	long, short := inner.NewTally("long", time.Now()), inner.NewTally("short", time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	c := inner.Clients{Addr: addr, Timeout: 5 * time.Second}
	wg.Go(func() { c.Long(ctx, long, 2, 5*time.Millisecond) })
	wg.Go(func() { c.Short(ctx, short, 200, 10) })
	until(t, func() bool { return long.Sum().Asked > 10 && short.Sum().Asked > 10 })
	stop()
	until(t, func() bool { return short.Sum().Failed[inner.PhaseRefused] > 3 })
	serving(t, addr, "2")
	before := short.Sum().Asked
	until(t, func() bool { return short.Sum().Asked > before+10 })
	cancel()
	wg.Wait()
	if got := long.Sum(); len(got.Ends) < 2 || got.Failed[inner.PhaseRefused] == 0 || got.Wrong != 0 { // a connect may come just before the listener closes
		t.Errorf("long: %+v, want the ends of both and failed connects", got)
	}
	for _, e := range long.Sum().Ends {
		if e.Release != 1 {
			t.Errorf("end %+v, want release 1", e)
		}
	}
}

func TestTally_CountsConnectionsToAReleaseThatWasReplaced(t *testing.T) {
	c := inner.NewTally("short", time.Now())
	early := c.Connecting()
	c.Connected(2, c.Connecting(), 0)
	c.Connected(1, early, 0) // begun before release 2 was seen
	c.Connected(1, c.Connecting(), 0)
	if got := c.Sum().Wrong; got != 1 {
		t.Errorf("%d wrong, want 1", got)
	}
}

func TestServer_EchoesDatagramsWithItsRelease(t *testing.T) {
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := (&inner.Server{Release: "4"}).EchoPackets(ctx, p); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	c, err := net.Dial("udp", p.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = c.Write([]byte("x"))
	b := make([]byte, 64)
	n, err := c.Read(b)
	if err != nil || string(b[:n]) != "x release=4" {
		t.Errorf("%q, %v", b[:n], err)
	}
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(10 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it did not come to pass within 10 s")
		}
	}
}
