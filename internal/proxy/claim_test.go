package proxy

import (
	"fmt"
	"testing"

	"gesalpai.ch/steady"
)

func poolOf(n int) *pool {
	p := newPool("shop/api:80", &counters{})
	var us []steady.Upstream
	for i := range n {
		us = append(us, steady.Upstream{ID: fmt.Sprint(i), Addr: "127.0.0.1:9", Release: 1})
	}
	p.shift(steady.Pool{Upstreams: us})
	return p
}

func TestClaim_TakesTheOneWithLeastInFlight(t *testing.T) {
	p := poolOf(4)
	for i := range 400 {
		f := newIdle()
		u := p.claim(&f.flight, nil)
		for _, other := range p.routed {
			if load := u.flights.total() - 1; other.flights.total() < load {
				t.Fatalf("claim %d took one with %d in flight, %s has %d", i, load, other.ID, other.flights.total())
			}
		}
	}
	for _, u := range p.routed {
		if u.flights.total() != 100 {
			t.Errorf("%s has %d of 400", u.ID, u.flights.total())
		}
	}
}

// One that is busy must not send all its share to its neighbour.
func TestClaim_ThoseAsIdleTakeTurns(t *testing.T) {
	p := poolOf(3)
	busy := newIdle()
	at := p.claim(&busy.flight, nil)
	got := map[string]int{}
	for range 100 {
		f := newIdle()
		got[p.claim(&f.flight, nil).ID]++
		p.leave(&f.flight)
	}
	if got[at.ID] != 0 || len(got) != 2 {
		t.Errorf("claims %v, and %s is busy", got, at.ID)
	}
	for id, n := range got {
		if n != 50 {
			t.Errorf("%s got %d of 100", id, n)
		}
	}
}

func BenchmarkClaim(b *testing.B) {
	for _, n := range []int{1, 3, 10} {
		b.Run(fmt.Sprintf("of=%d", n), func(b *testing.B) {
			p := poolOf(n)
			f := newIdle()
			for b.Loop() {
				p.claim(&f.flight, nil)
				p.leave(&f.flight)
			}
		})
	}
	b.Run("sticky", func(b *testing.B) {
		p := poolOf(3)
		f := newIdle()
		f.sign = steady.StickyToken("2")
		for b.Loop() {
			p.claim(&f.flight, nil)
			p.leave(&f.flight)
		}
	})
}

func BenchmarkClaimSplit(b *testing.B) {
	p := poolOf(3)
	p.routed[2].Release = 2
	p.split.Store(newSplit(&steady.Split{Release: 2, Percent: 25}))
	for b.Loop() {
		f := newIdle()
		p.claim(&f.flight, nil)
		p.leave(&f.flight)
	}
}

// The sequence is even wherever it is looked at.
func TestDraw_IsEvenFromAnywhere(t *testing.T) {
	p := poolOf(1)
	const n = 10_000
	places := make([]int, n)
	for i := range places {
		places[i] = p.draw()
	}
	for _, below := range []int{50, 500, 2500, 3333, 5000, 9900} {
		for _, every := range []int{1, 2, 3, 7} { // a share of the requests, such as every other
			on, of := 0, 0
			for i := 0; i < n; i += every {
				if of++; places[i] < below {
					on++
				}
			}
			if off := on*steady.Places - of*below; off > 10*steady.Places || off < -10*steady.Places {
				t.Errorf("below %d, every %d: %d of %d", below, every, on, of)
			}
		}
	}
}
