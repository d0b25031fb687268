package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// guest is a flight that comes to a gate.
type guest struct {
	idleFlight
	left atomic.Bool
}

func (*guest) ready()       {}
func (g *guest) gone() bool { return g.left.Load() }

func newGuest(bytes int64) *guest {
	g := &guest{}
	g.ender, g.bytes = g, bytes
	return g
}

func held(most int, h time.Duration) *steady.Hold {
	return &steady.Hold{Most: most, Bytes: 1 << 20, For: h, Lease: time.Minute}
}

func ups(release int) []steady.Upstream {
	return []steady.Upstream{{ID: fmt.Sprint(release), Addr: "127.0.0.1:9", Release: release}}
}

// standing waits until n stand in line.
func standing(t *testing.T, g *gate, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		g.mu.Lock()
		have := g.line.Len()
		g.mu.Unlock()
		if have == n {
			return
		}
	}
	t.Fatalf("%d never stood in line", n)
}

// Whatever comes in whatever order, every wait ends exactly once: with a claim, or
// turned away by a bound or a clock, or by the client's leaving; what is claimed is
// of the release in force; and nothing is left in line.
func TestGate_EveryWaitEndsExactlyOnce(t *testing.T) {
	counts := &counters{}
	pools := []*pool{newPool("shop/db:80", counts), newPool("shop/db:81", counts)}
	tmpl := newTemplate("shop/db@net", counts)
	all := func(s steady.Pool) {
		for _, p := range pools {
			p.shift(s)
		}
		in := s
		in.Upstreams = slices.Clone(s.Upstreams)
		for i := range in.Upstreams {
			in.Upstreams[i].Addr = "127.0.0.1"
		}
		tmpl.shift(in)
	}
	all(steady.Pool{Upstreams: ups(1)})
	var began, claimed, turnedAway, left, anew, none atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				began.Add(1)
				p := pools[rand.IntN(2)]
				if rand.IntN(3) == 0 {
					p = tmpl.take(uint16(100 + rand.IntN(4)))
				}
				ctx, cancel := context.WithCancel(t.Context())
				f := newGuest(rand.Int64N(64 << 10))
				switch rand.IntN(10) {
				case 0:
					time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, cancel)
				case 1:
					f.left.Store(true)
				}
				u, err := p.enter(ctx, &f.flight, nil, f)
				switch {
				case err == nil && u != nil:
					claimed.Add(1)
					p.leave(&f.flight)
				case err == nil:
					none.Add(1)
				case errors.Is(err, errTurned):
					turnedAway.Add(1)
				case errors.Is(err, errLeft):
					left.Add(1)
				case errors.Is(err, errAnew):
					anew.Add(1)
				default:
					t.Errorf("wait ended with %v", err)
				}
				cancel()
				p.release()
			}
		})
	}
	for release := 2; release < 60; release++ {
		all(steady.Pool{Hold: held(40, time.Duration(1+rand.IntN(30))*time.Millisecond)})
		switch rand.IntN(4) {
		case 0:
			pools[0].gate.anew(pools[rand.IntN(2)])
		case 1: // shut again before all have gone
			all(steady.Pool{Upstreams: ups(release)})
			all(steady.Pool{Hold: held(40, 10*time.Millisecond)})
		}
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		all(steady.Pool{Upstreams: ups(release)})
		time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	if sum := claimed.Load() + turnedAway.Load() + left.Load() + anew.Load(); sum != began.Load() || none.Load() > 0 {
		t.Errorf("%d came: %d claimed, %d turned away, %d left, and %d found nobody", began.Load(), claimed.Load(), turnedAway.Load(), left.Load(), none.Load())
	}
	g := counts.gate("shop/db")
	if g.line.Len() != 0 || g.bytes != 0 || g.busy.Load() {
		t.Errorf("%d in line, %d bytes, busy %v when all have ended", g.line.Len(), g.bytes, g.busy.Load())
	}
	if turnedAway.Load() == 0 || left.Load() == 0 {
		t.Errorf("nobody was turned away (%d) or left (%d): nothing was tried", turnedAway.Load(), left.Load())
	}
}

func TestGate_LetsGoInOrderAndInGrowingBatches(t *testing.T) {
	p := newPool("shop/db:80", &counters{})
	p.shift(steady.Pool{Hold: held(1000, time.Minute)})
	const n = 100
	order := make(chan int, n)
	open := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			f := newGuest(0)
			if u, err := p.enter(t.Context(), &f.flight, nil, f); u == nil || err != nil {
				t.Errorf("%v, %v", u, err)
				return
			}
			order <- i
			<-open
			p.leave(&f.flight)
		})
		standing(t, p.gate, i+1)
	}
	p.shift(steady.Pool{Upstreams: ups(2)})
	var got []int
	for range firstBatch {
		got = append(got, <-order)
	}
	slices.Sort(got)
	if got[0] != 0 || got[firstBatch-1] != firstBatch-1 {
		t.Errorf("the first to go are %v", got)
	}
	late := newGuest(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = p.enter(t.Context(), &late.flight, nil, late)
	}()
	standing(t, p.gate, n-firstBatch+1) // who comes now goes behind those who wait
	close(open)
	<-done
	if len(order) < 2*firstBatch*3/4 { // as many of the batch before must have been answered
		t.Errorf("who came last has overtaken: only %d have gone", len(order))
	}
	wg.Wait()
	p.leave(&late.flight)
}

func TestGate_OneThatNeverAnswersKeepsNobodyBack(t *testing.T) {
	p := newPool("shop/db:80", &counters{})
	p.shift(steady.Pool{Hold: held(1000, time.Minute)})
	var wg sync.WaitGroup
	for i := range 4 * firstBatch {
		wg.Go(func() {
			f := newGuest(0)
			if u, err := p.enter(t.Context(), &f.flight, nil, f); u == nil || err != nil {
				t.Errorf("%v, %v", u, err)
			}
		})
		standing(t, p.gate, i+1)
	}
	p.shift(steady.Pool{Upstreams: ups(2)})
	wg.Wait()
}

func TestGate_BoundsAreTheServices(t *testing.T) {
	counts := &counters{}
	tmpl := newTemplate("shop/db@net", counts)
	tmpl.shift(steady.Pool{Hold: held(2, time.Minute)})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 2 {
		p := tmpl.take(uint16(i + 1)) // made while it is shut
		f := newGuest(0)
		wg.Go(func() {
			if _, err := p.enter(ctx, &f.flight, nil, f); !errors.Is(err, errLeft) {
				t.Errorf("%v: want left", err)
			}
			p.release()
		})
		standing(t, p.gate, i+1)
	}
	p := newPool("shop/db:80", counts)
	p.shift(steady.Pool{Hold: held(2, time.Minute)})
	f := newGuest(0)
	if _, err := p.enter(ctx, &f.flight, nil, f); !errors.Is(err, errTurned) {
		t.Errorf("the third: %v, want turned away", err)
	}
	cancel()
	wg.Wait()
	big := newGuest(2 << 20)
	if _, err := p.enter(t.Context(), &big.flight, nil, big); !errors.Is(err, errTurned) {
		t.Errorf("more than may be in memory: %v, want turned away", err)
	}
}

func TestGate_OpensByItselfWhenNobodyRenewsItsLease(t *testing.T) {
	p := newPool("shop/db:80", &counters{})
	h := held(10, time.Minute)
	h.Lease = 80 * time.Millisecond
	p.shift(steady.Pool{Hold: h})
	f := newGuest(0)
	began := time.Now()
	u, err := p.enter(t.Context(), &f.flight, nil, f)
	if u != nil || err != nil || time.Since(began) < h.Lease {
		t.Errorf("%v, %v after %s: want nobody, when the lease is over", u, err, time.Since(began))
	}
	p.shift(steady.Pool{Hold: h}) // the same table again is no renewal
	if s, _ := p.gate.status(); !s.Lapsed || s.Shut {
		t.Errorf("%+v: want it lapsed", s)
	}
	if !p.gate.renew() {
		t.Error("it cannot be renewed")
	}
	if s, _ := p.gate.status(); !s.Shut {
		t.Errorf("%+v: want it shut again", s)
	}
	p.gate.end()
}

// Pools of a template come and go: none of them may shut a gate again that has
// opened by itself.
func TestGate_APoolMadeLaterDoesNotShutALapsedOne(t *testing.T) {
	tmpl := newTemplate("shop/db@net", &counters{})
	h := held(10, time.Minute)
	h.Lease = 20 * time.Millisecond
	tmpl.shift(steady.Pool{Hold: h})
	for i := range 3 {
		p := tmpl.take(uint16(i + 1))
		f := newGuest(0)
		if u, err := p.enter(t.Context(), &f.flight, nil, f); u != nil || err != nil {
			t.Errorf("%v, %v: want nobody", u, err)
		}
		p.release() // and it is forgotten, as nobody has ever answered there
		if s, _ := tmpl.gate.status(); s.Shut || !s.Lapsed {
			t.Errorf("%+v: want it lapsed", s)
		}
	}
	tmpl.shift(steady.Pool{})
	if s, any := tmpl.gate.status(); any {
		t.Errorf("%+v: want nothing to tell", s)
	}
}

func TestGate_RenewedStaysShutBeyondItsLease(t *testing.T) {
	p := newPool("shop/db:80", &counters{})
	h := held(10, time.Minute)
	h.Lease = 100 * time.Millisecond
	p.shift(steady.Pool{Hold: h})
	for began := time.Now(); time.Since(began) < 5*h.Lease; time.Sleep(10 * time.Millisecond) {
		p.gate.renew()
		if s, _ := p.gate.status(); !s.Shut {
			t.Fatal("open, though renewed")
		}
	}
	p.gate.end()
}

// BenchmarkClaimBesideGate is what a claim pays for the gate: open beside none.
func BenchmarkClaimBesideGate(b *testing.B) {
	b.Run("open", func(b *testing.B) {
		p := poolOf(1)
		p.shift(steady.Pool{Hold: held(10, time.Second)})
		p.shift(steady.Pool{Upstreams: ups(1)})
		f := newIdle()
		for b.Loop() {
			p.claim(&f.flight, nil)
			p.leave(&f.flight)
		}
	})
	b.Run("none", func(b *testing.B) {
		p := poolOf(1)
		f := newIdle()
		for b.Loop() {
			p.mu.Lock()
			u := p.choose(nil, 0)
			f.upstream = u
			u.flights.add(&f.flight)
			for _, t := range u.tallies {
				t.joined(&f.flight)
			}
			p.mu.Unlock()
			p.leave(&f.flight)
		}
	})
}
