package proxy

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"gesalpai.ch/steady"
)

// The invariant of pools, for those that come and go meanwhile: what is claimed
// after a shift has returned is of the new list, whatever the port, and what was
// claimed before is where a drain looks.
func TestTemplate_PoolMadeDuringAShiftGivesTheNewOnes(t *testing.T) {
	var g group = newGroup("shop/api@default", &counters{})
	tpl := g.(*template)
	up := func(release int) []steady.Upstream {
		return []steady.Upstream{{ID: fmt.Sprint(release), Addr: "127.0.0.1", Release: release}}
	}
	g.shift(steady.Pool{Upstreams: up(1)})
	const releases = 2000
	var inForce atomic.Int64
	var claimed [releases + 1]atomic.Int64
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
				p := tpl.take(uint16(1 + rand.IntN(300)))
				if rand.IntN(2) == 0 {
					p.reached.Store(true)
				}
				f := newIdle()
				u := p.claim(&f.flight, nil)
				claimed[u.Release].Add(1)
				if int64(u.Release) < oldest {
					t.Errorf("a claim after the shift to %d got %d", oldest, u.Release)
				}
				if want := fmt.Sprintf("127.0.0.1:%d", p.port); u.Addr != want {
					t.Errorf("%s for port %d", u.Addr, p.port)
				}
				claimed[u.Release].Add(-1)
				p.leave(&f.flight)
				p.release()
			}
		})
	}
	for release := 2; release <= releases; release++ {
		g.shift(steady.Pool{Upstreams: up(release)})
		inForce.Store(int64(release))
		flights := 0
		before := claimed[release-1].Load()
		for _, p := range g.each() {
			for _, u := range p.replicas(map[string]bool{fmt.Sprint(release - 1): true}) {
				p.mu.Lock()
				flights += u.flights.total()
				p.mu.Unlock()
			}
		}
		if after := claimed[release-1].Load(); flights == 0 && after > 0 && before > 0 {
			t.Errorf("%d are claimed on %d, and a drain sees none", after, release-1)
		}
	}
	close(stop)
	wg.Wait()
	if n := len(tpl.ports); n > spareMost || n != tpl.spare.Len() {
		t.Errorf("%d ports are remembered, %d of them spare", n, tpl.spare.Len())
	}
	g.shift(steady.Pool{})
	if !g.gone() {
		t.Error("something is left")
	}
}

func TestTemplate_PortInUseIsNotForgotten(t *testing.T) {
	tpl := newTemplate("shop/api@default", &counters{})
	held := tpl.take(1)
	held.reached.Store(true)
	again := tpl.take(1)
	for port := range uint16(10 * spareMost) {
		p := tpl.take(100 + port)
		p.reached.Store(true)
		p.release()
	}
	if again != held || tpl.ports[1] != held {
		t.Error("it was made anew")
	}
	held.release()
	again.release()
	if got := tpl.take(1); got != held || got.service != "shop/api" || got.name != "shop/api@default:1" {
		t.Errorf("%s of %s", got.name, got.service)
	}
}

// A port scan finds ports that nobody has ever answered on, and forgets them; it
// must not drive out those that answer.
func TestTemplate_PortsThatNeverAnsweredDriveNobodyOut(t *testing.T) {
	tpl := newTemplate("shop/api@default", &counters{})
	good := tpl.take(5432)
	good.reached.Store(true)
	good.learnt.Store(serverFirst)
	good.release()
	for port := range uint16(65000) {
		tpl.take(port + 500).release()
	}
	if len(tpl.ports) != 1 || tpl.take(5432) != good {
		t.Errorf("%d ports", len(tpl.ports))
	}
}

func TestClassifyGreeting_HTTPServersThatSpeakFirst(t *testing.T) {
	for said, want := range map[string]int{
		"HTTP/":                                speaksHTTP,
		"HT":                                   undecided,
		"HELO x":                               speaksOther,
		"220 mail":                             speaksOther,
		"J\x00\x00\x00\n8.0.36":                speaksOther, // MySQL
		"\x00\x00\x12\x04\x00\x00\x00\x00\x00": speaksHTTP,  // SETTINGS
		"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00": speaksHTTP,
		"\x00\x00\x12\x04\x00":                     undecided,
		"\x00\x00\x12\x04\x01\x00\x00\x00\x00":     speaksOther,
		"\x00\x00\x00\x00":                         speaksOther,
		"INFO {\"server_id\"":                      speaksOther, // NATS
		"SSH-2.0-x":                                speaksOther,
	} {
		if got := classifyGreeting([]byte(said)); got != want {
			t.Errorf("%q: %d, want %d", said, got, want)
		}
	}
}
