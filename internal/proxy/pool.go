package proxy

import (
	"container/list"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
)

// pool is the upstreams of one port of one service. It keeps its identity across
// tables: a shift changes its upstreams under its lock and nothing else.
type pool struct {
	name    string
	service string
	counts  *counters
	nobody  *counter // of what found no upstream: release 0
	gate    *gate    // of the service
	learnt  atomic.Int32
	http    atomic.Bool                    // all releases in force are known to speak HTTP, see known.go
	reached atomic.Bool                    // one of its upstreams has been connected to
	left    atomic.Bool                    // no table lists it any more
	notice  atomic.Pointer[notice]         // of a maintenance; nil: open
	sticky  atomic.Pointer[steady.Sticky]  // nil: any upstream will do
	ingress atomic.Pointer[steady.Ingress] // nil: the default
	split   atomic.Pointer[split]          // stored under mu; nil: all releases are alike

	// Of a pool that was made of a template; users and spare are guarded by its lock.
	template *template
	port     uint16
	users    int
	spare    *list.Element

	mu sync.Mutex
	// routed are the upstreams in force, the only ones claim gives.
	routed []*upstream
	// elders are asked for assets only, see claimElder.
	elders []*upstream
	assets []string
	// known are the routed ones, the elders and those that still have something in flight.
	known map[steady.Upstream]*upstream
	turn  int    // where the next search for the least busy begins
	trial int    // the same, among those of the release on trial
	draws uint64 // see draw
	// opened is closed when the maintenance is over; nil before the first.
	opened chan struct{}

	lost   int // requests, since one was logged
	saidAt time.Time
}

func newPool(name string, counts *counters) *pool {
	service := serviceOf(name)
	return &pool{
		name: name, service: service, counts: counts, nobody: counts.of(service, 0), gate: counts.gate(service),
		known: map[steady.Upstream]*upstream{},
	}
}

// serviceOf is the service, "shop/api", of a pool or a template.
func serviceOf(pool string) string {
	service, _, in := strings.Cut(pool, "@")
	if i := strings.LastIndexByte(pool, ':'); i >= 0 && !in {
		service = pool[:i]
	}
	return service
}

// claim takes the least busy upstream, or the one that f's client is kept at, and
// counts f in, both under one lock: once
// shift has returned, nothing can be claimed on an upstream it left out, and
// nothing claimed before is unseen by a drain. One that failed lately or is
// avoid is taken only where there is no other, on f's side of a split or else on the
// other side, and one whose process has ended never. Nil when there is none at all, and where the gate does not let f pass:
// f.stand says so, and enter waits.
func (p *pool) claim(f *flight, avoid *upstream) *upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.stand = free
	if p.left.Load() {
		f.stand = unlisted
		return nil
	}
	if p.gate.busy.Load() && !p.gate.lets(p, f) {
		return nil
	}
	var w wish
	if s := p.split.Load(); s != nil {
		w = p.wish(s, f)
	}
	var u *upstream
	if f.sign != "" {
		u = p.wanted(f.sign, avoid, w)
	}
	f.kept = u != nil
	if u == nil {
		u = p.choose(avoid, w)
	}
	if u == nil {
		return nil
	}
	f.upstream = u
	u.flights.add(f)
	for _, t := range u.tallies {
		t.joined(f)
	}
	return u
}

func (p *pool) choose(avoid *upstream, w wish) *upstream {
	n := len(p.routed)
	if n == 1 && p.routed[0].known() {
		return p.routed[0]
	}
	turn := &p.turn
	if w > 0 {
		turn = &p.trial
	}
	var best *upstream
	bestLoad, at := 0, 0
	for i := range n {
		k := (*turn + i) % n
		u := p.routed[k]
		if !u.known() {
			continue
		}
		load := u.flights.total()
		if !w.has(u) {
			load += 1 << 28
		}
		if u.failing() {
			load += 1 << 29
		}
		if u == avoid {
			load += 1 << 30 // the most that an int of 32 bits holds
		}
		if best == nil || load < bestLoad {
			best, bestLoad, at = u, load, k
		}
	}
	*turn = at + 1 // behind the one chosen: those that are as idle take turns
	return best
}

// sayLost counts a lost request and says how many there were since the last one
// that was to be logged; 0 when this one is not: a dead app must not fill the log.
func (p *pool) sayLost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost++
	if time.Since(p.saidAt) < time.Second {
		return 0
	}
	n := p.lost
	p.lost, p.saidAt = 0, time.Now()
	return n
}

func (u *upstream) failing() bool {
	return !u.failedAt.IsZero() && time.Since(u.failedAt) < avoidFor
}

func (p *pool) dialled(u *upstream, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u.failedAt = time.Time{}
	if err != nil {
		u.failedAt = time.Now()
		p.meet()
		return
	}
	p.reached.Store(true)
}

// leave counts f out. What a drain that watches learns, it learns here.
func (p *pool) leave(f *flight) {
	p.mu.Lock()
	u := f.upstream
	u.flights.remove(f)
	quiet := p.forget(u)
	if f.kind == stream {
		u.count.streamLeft(f)
	}
	for _, t := range u.tallies {
		t.left(f)
	}
	if f.ticket != nil {
		p.gate.answered(f.ticket)
		f.ticket = nil
	}
	p.mu.Unlock()
	if quiet {
		u.closeIdle()
	}
}

func (c *counter) streamLeft(f *flight) {
	switch f.fate() {
	case inOrder:
		c.streamsClosed.Add(1)
	case quietly:
		c.streamsQuiet.Add(1)
	case cutOff:
		c.streamsCut.Add(1)
	default:
		c.streamsEnded.Add(1)
	}
}

// stream makes f, claimed as something else, a stream from now on. False: f was a
// question, and a shift has broken it off.
func (p *pool) stream(f *flight) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := f.kind
	if was == question && f.wasCut {
		return false
	}
	f.upstream.flights.turn(f, stream)
	f.upstream.count.streams.Add(1)
	for _, t := range f.upstream.tallies {
		t.turned(f, was)
	}
	return true
}

// shift puts what a table says of the pool in force: the gate is shut before its
// upstreams leave and opened once they are there, under one lock with them.
// Upstreams that leave are forgotten once
// nothing of theirs is in flight; questions to them are broken off, as those who
// ask will ask again.
func (p *pool) shift(as steady.Pool) {
	p.mu.Lock()
	p.split.Store(newSplit(as.Split))
	p.ingress.Store(as.Ingress)
	if as.Hold != nil {
		p.gate.shut(p, *as.Hold)
	}
	quiet := p.reroute(as)
	p.meet()
	if as.Hold == nil {
		p.gate.open(p)
	}
	p.mu.Unlock()
	for _, u := range quiet {
		u.closeIdle()
	}
}

// reroute puts the upstreams in force and gives those that are forgotten. p.mu is
// held.
func (p *pool) reroute(as steady.Pool) []*upstream {
	to := as.Upstreams
	if p.serves(to) && p.aged(as) {
		p.recognize()
		return nil
	}
	var quiet []*upstream
	before := p.routed
	p.routed = make([]*upstream, len(to))
	for _, u := range before {
		u.routed = false
	}
	for i, s := range to {
		u := p.upstream(s)
		u.routed = true
		p.routed[i] = u
	}
	p.recognize()
	before = append(before, p.age(as)...)
	for _, u := range before {
		if u.routed {
			continue
		}
		for _, f := range u.flights.of(question) {
			f.wasCut = true
			f.cut()
		}
		if p.forget(u) {
			quiet = append(quiet, u)
		}
	}
	return quiet
}

// upstream gives what is known of an address of a container. p.mu is held.
func (p *pool) upstream(s steady.Upstream) *upstream {
	u := p.known[s]
	if u == nil {
		u = newUpstream(p, s, p.counts.of(p.service, s.Release), p.counts.who.of(s.Process))
		p.known[s] = u
	}
	return u
}

// serves says whether those are the upstreams in force already.
func (p *pool) serves(to []steady.Upstream) bool {
	return slices.EqualFunc(p.routed, to, func(u *upstream, s steady.Upstream) bool { return u.Upstream == s })
}

// forget drops u when no table lists it and nothing of it is in flight.
func (p *pool) forget(u *upstream) bool {
	if u.routed || u.elder || u.flights.total() > 0 {
		return false
	}
	delete(p.known, u.Upstream)
	return true
}

// gone says whether the pool has neither upstreams nor anything in flight.
func (p *pool) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.known) == 0
}

// each makes a pool a group of its own.
func (p *pool) each() []*pool { return []*pool{p} }

// closeIdle closes the idle connections to all its upstreams.
func (p *pool) closeIdle() {
	p.mu.Lock()
	known := slices.Collect(maps.Values(p.known))
	p.mu.Unlock()
	for _, u := range known {
		u.closeIdle()
	}
}

// replicas lists the known upstreams of the containers named by id.
func (p *pool) replicas(ids map[string]bool) []*upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*upstream
	for _, u := range p.known {
		if ids[u.ID] {
			out = append(out, u)
		}
	}
	return out
}
