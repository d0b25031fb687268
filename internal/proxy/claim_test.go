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
	f := newIdle()
	for b.Loop() {
		f.placed = false
		p.claim(&f.flight, nil)
		p.leave(&f.flight)
	}
}

// Every port that a client of a holder means is shared, also one nobody meant before.
func TestSplit_HoldsForEveryPortOfATemplate(t *testing.T) {
	g := newGroup("shop/api@default", &counters{})
	us := []steady.Upstream{{ID: "a", Addr: "127.0.0.1", Release: 1}, {ID: "b", Addr: "127.0.0.2", Release: 2}}
	count := func(port uint16) (on int) {
		p := g.(*template).take(port)
		defer p.release()
		p.reached.Store(true)
		for range 1000 {
			f := newIdle()
			if p.claim(&f.flight, nil).Release == 2 {
				on++
			}
			p.leave(&f.flight)
		}
		return on
	}
	for _, percent := range []float64{5, 50} {
		g.shift(steady.Pool{Upstreams: us, Split: &steady.Split{Release: 2, Percent: percent}})
		for _, port := range []uint16{80, 5432, uint16(percent)} {
			if on := count(port); float64(on) < percent*10-10 || float64(on) > percent*10+10 {
				t.Errorf("port %d at %g %%: %d of 1000", port, percent, on)
			}
		}
	}
	g.shift(steady.Pool{Upstreams: us[1:]})
	if on := count(80); on != 1000 {
		t.Errorf("without a split: %d of 1000", on)
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
