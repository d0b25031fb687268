package proxy

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
)

// Figures of a gate that opens. A cold app gets what has waited in batches that
// grow: the next when most of the former is answered, and at the latest after the
// pause, as one that never answers must not keep back all others.
const (
	firstBatch = 16
	batchPause = 100 * time.Millisecond
)

// gate keeps what comes to a service waiting while it is shut. All pools of the
// service share it, so its bounds are the service's. A pool shuts and opens it
// within its own critical section, and asks it there before it claims; a gate's
// lock is taken with a pool's held, never the other way round.
type gate struct {
	// busy says that it is shut or that somebody still waits: until then a claim
	// costs one load of it.
	busy atomic.Bool

	mu     sync.Mutex
	shutBy map[group]struct{}
	hold   steady.Hold
	since  time.Time // shut
	lapsed bool      // nobody has renewed the lease: it is open whoever shut it
	ended  bool      // the proxy ends: nobody waits any more
	due    time.Time // when the lease lapses
	lease  *time.Timer
	line   list.List // of *ticket, in the order in which they came
	bytes  int64     // of bodies in memory, of those in line
	last   int64     // number of the place given last

	batch int // number of the batch let go last
	size  int // of the next
	out   int // of the last one, not answered yet
	most  int // so many of them need not be answered before the next
	pause *time.Timer
}

// ticket is a flight's in line. Its owner waits; everything else is guarded by the
// gate's lock.
type ticket struct {
	gate   *gate
	pool   *pool
	bytes  int64
	number int64
	came   time.Time
	until  time.Time
	at     *list.Element // nil: not in line
	batch  int           // in which it was let go; 0: it was not
	told   chan error    // one word to the owner each time it leaves the line by another's hand; nil: claim
}

// shut shuts the gate for a pool or a template. Where it is shut already, that does
// not renew the lease.
func (g *gate) shut(by group, h steady.Hold) {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := len(g.shutBy) == 0
	if first {
		g.shutBy = map[group]struct{}{}
		g.since, g.lapsed = time.Now(), false
	}
	g.hold = h
	g.shutBy[by] = struct{}{}
	if first {
		g.renewed()
	}
	g.settled()
}

// open opens the gate, once all who have shut it have said so.
func (g *gate) open(by group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, mine := g.shutBy[by]; !mine {
		return
	}
	delete(g.shutBy, by)
	if len(g.shutBy) > 0 {
		return
	}
	g.lease.Stop()
	g.release()
}

// renew keeps the gate shut for another lease, and shuts it again where that had
// lapsed. False: nobody has shut it.
func (g *gate) renew() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.shutBy) == 0 || g.ended {
		return false
	}
	g.lapsed = false
	g.renewed()
	g.settled()
	return true
}

// renewed begins a lease. g.mu is held.
func (g *gate) renewed() {
	g.due = time.Now().Add(g.hold.Lease)
	if g.lease != nil {
		g.lease.Stop()
	}
	g.lease = time.AfterFunc(g.hold.Lease, g.lapse)
}

// lapse opens the gate when its lease is over.
func (g *gate) lapse() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isShut() || time.Now().Before(g.due) {
		return
	}
	g.lapsed = true
	g.release()
}

// end turns away whoever waits or comes to wait: no table will open it any more.
func (g *gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	g.tell(nil, errTurned)
	for _, t := range []*time.Timer{g.lease, g.pause} {
		if t != nil {
			t.Stop()
		}
	}
	g.settled()
}

// isShut says whether nobody may pass. g.mu is held.
func (g *gate) isShut() bool { return len(g.shutBy) > 0 && !g.lapsed }

// settled notes whether a claim has to ask. g.mu is held.
func (g *gate) settled() { g.busy.Store(g.isShut() || g.line.Len() > 0) }

// lets says whether f may claim now. Where it may not, f stands in line or has been
// turned away. While those who waited are let go, whoever comes goes behind them,
// and past them only where the line is full: then for as long as that takes.
func (g *gate) lets(p *pool, f *flight) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	shut := g.isShut()
	known := f.ticket != nil // it had a place, and has been called or looked up
	switch {
	case !shut && (known && f.ticket.batch > 0 || f.upstream != nil || g.line.Len() == 0 || !g.room(f)):
		return true
	case g.ended, !known && !g.room(f):
		f.stand = turned
	default:
		g.join(p, f)
		f.stand = waits
	}
	return false
}

// room says whether f may stand in line. g.mu is held.
func (g *gate) room(f *flight) bool {
	return g.line.Len() < g.hold.Most && g.bytes+f.bytes <= g.hold.Bytes
}

// join puts f into line: at its end, or where it was before, as the gate was shut
// again before it could claim. g.mu is held.
func (g *gate) join(p *pool, f *flight) {
	w := f.ticket
	if w == nil {
		now := time.Now()
		g.last++
		w = &ticket{gate: g, pool: p, bytes: f.bytes, number: g.last, came: now, until: now.Add(g.hold.For), told: make(chan error, 1)}
		f.ticket = w
		p.nobody.held.Add(1)
	}
	w.batch = 0
	g.bytes += w.bytes
	behind := g.line.Back()
	for behind != nil && behind.Value.(*ticket).number > w.number {
		behind = behind.Prev()
	}
	if behind == nil {
		w.at = g.line.PushFront(w)
	} else {
		w.at = g.line.InsertAfter(w, behind)
	}
	g.settled()
}

// quit takes a place out of line. False: somebody else just did, and w is told.
func (g *gate) quit(w *ticket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.at == nil {
		return false
	}
	g.drop(w)
	return true
}

// drop takes a place out of line. g.mu is held.
func (g *gate) drop(w *ticket) {
	g.line.Remove(w.at)
	w.at = nil
	g.bytes -= w.bytes
	g.settled()
}

// tell takes those who wait for a pool, or all, out of line and says why. g.mu is
// held.
func (g *gate) tell(p *pool, why error) {
	for e := g.line.Front(); e != nil; {
		w := e.Value.(*ticket)
		e = e.Next()
		if p == nil || w.pool == p {
			g.drop(w)
			w.told <- why
		}
	}
}

// anew has all who wait for a pool look again at what keeps them out.
func (g *gate) anew(p *pool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tell(p, errAnew)
}

// release begins to let go. g.mu is held.
func (g *gate) release() {
	g.size = firstBatch
	g.next()
}

// next lets the next batch go. g.mu is held.
func (g *gate) next() {
	if g.pause != nil {
		g.pause.Stop()
	}
	g.batch++
	g.out = 0
	for e := g.line.Front(); e != nil && g.out < g.size && !g.isShut(); e = g.line.Front() {
		w := e.Value.(*ticket)
		g.drop(w)
		w.batch = g.batch
		w.told <- nil
		g.out++
	}
	g.settled()
	if g.out == 0 {
		return
	}
	g.most = g.out / 4
	g.size *= 2
	this := g.batch
	g.pause = time.AfterFunc(batchPause, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.batch == this && !g.ended {
			g.next()
		}
	})
}

// answered notes that what became of one who was let go is known.
func (g *gate) answered(w *ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.batch == 0 || w.batch != g.batch {
		return
	}
	if g.out--; g.out <= g.most && g.line.Len() > 0 && !g.isShut() {
		g.next()
	}
}
