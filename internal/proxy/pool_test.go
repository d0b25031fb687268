package proxy

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// idleFlight is a flight that nobody ends.
type idleFlight struct{ flight }

func (*idleFlight) cut()              {}
func (*idleFlight) end(time.Duration) {}
func (*idleFlight) how() int          { return byItself }
func (*idleFlight) peer() string      { return "" }

func newIdle() *idleFlight {
	f := &idleFlight{}
	f.ender = f
	return f
}

// The invariant everything rests on: a claim on a given release is made before
// the shift away from it returns, and counted by then.
func TestPool_ClaimIsCountedBeforeShiftReturns(t *testing.T) {
	p := newPool("shop/api:80", &counters{})
	up := func(release int) []steady.Upstream {
		return []steady.Upstream{{ID: fmt.Sprint(release), Addr: "127.0.0.1:9", Release: release}}
	}
	p.shift(steady.Pool{Upstreams: up(1)})
	const releases = 5000
	var inForce atomic.Int64            // a claim that begins now gets this one or a newer
	var quiet [releases + 1]atomic.Bool // nobody may hold a claim on those
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				oldest := inForce.Load()
				f := newIdle()
				got := int64(p.claim(&f.flight, nil).Release)
				if got < oldest {
					t.Errorf("a claim after the shift to %d got %d", oldest, got)
				}
				if quiet[got].Load() {
					t.Errorf("%d is claimed, and a drain has seen it quiet", got)
				}
				p.leave(&f.flight)
			}
		})
	}
	for release := 2; release <= releases; release++ {
		p.mu.Lock()
		old := p.routed[0]
		p.mu.Unlock()
		p.shift(steady.Pool{Upstreams: up(release)})
		inForce.Store(int64(release))
		p.mu.Lock()
		if old.flights.total() == 0 {
			quiet[release-1].Store(true)
		}
		p.mu.Unlock()
	}
	close(stop)
	wg.Wait()
	if len(p.known) != 1 {
		t.Errorf("%d upstreams are remembered", len(p.known))
	}
}

func TestPool_UpstreamThatComesBackKeepsItsFlights(t *testing.T) {
	p := newPool("shop/api:80", &counters{})
	a := steady.Upstream{ID: "a", Addr: "127.0.0.1:9", Release: 1}
	b := steady.Upstream{ID: "b", Addr: "127.0.0.1:9", Release: 2}
	p.shift(steady.Pool{Upstreams: []steady.Upstream{a}})
	f := newIdle()
	was := p.claim(&f.flight, nil)
	p.shift(steady.Pool{Upstreams: []steady.Upstream{b}})
	p.shift(steady.Pool{Upstreams: []steady.Upstream{a}})
	g := newIdle()
	if is := p.claim(&g.flight, nil); is != was || is.flights.total() != 2 {
		t.Errorf("a drain would overlook what is in flight")
	}
}

func TestPool_AddressReusedByAnotherContainerIsAnotherUpstream(t *testing.T) {
	p := newPool("shop/api:80", &counters{})
	p.shift(steady.Pool{Upstreams: []steady.Upstream{{ID: "a", Addr: "127.0.0.1:9"}}})
	f, g := newIdle(), newIdle()
	a := p.claim(&f.flight, nil)
	p.shift(steady.Pool{Upstreams: []steady.Upstream{{ID: "b", Addr: "127.0.0.1:9"}}})
	if b := p.claim(&g.flight, nil); a == b || a.transport == b.transport {
		t.Error("connections of one container may serve another")
	}
}

func TestFlights_CountWhatTheyHold(t *testing.T) {
	var l flights
	var in []*flight
	for range 10_000 {
		switch {
		case len(in) == 0 || rand.IntN(3) == 0:
			f := &flight{kind: rand.IntN(3)}
			l.add(f)
			in = append(in, f)
		case rand.IntN(2) == 0:
			l.turn(in[rand.IntN(len(in))], stream)
		default:
			i := rand.IntN(len(in))
			l.remove(in[i])
			in = append(in[:i], in[i+1:]...)
		}
		if l.total() != len(in) {
			t.Fatal(l.total(), len(in))
		}
	}
	for kind := range 3 {
		if got := len(l.of(kind)); got != l.n[kind] {
			t.Errorf("kind %d: %d listed, %d counted", kind, got, l.n[kind])
		}
	}
}
