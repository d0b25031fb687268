package proxy

import (
	"slices"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// tally is what one drain counts over the upstreams it watches. Its methods are
// called with the lock of the pool concerned held.
type tally struct {
	begin   time.Time
	changed chan struct{} // holds one token when something changed
	marked  bool          // only what is marked counts

	mu       sync.Mutex
	requests int // in flight now
	streams  int
	sum      steady.Drained
}

func newTally() *tally {
	return &tally{begin: time.Now(), changed: make(chan struct{}, 1)}
}

// watch begins to count u's flights.
func (t *tally) watch(u *upstream) {
	u.pool.mu.Lock()
	defer u.pool.mu.Unlock()
	u.tallies = append(u.tallies, t)
	t.mu.Lock()
	defer t.mu.Unlock()
	requests, streams := len(t.of(u, request)), len(t.of(u, stream))
	t.requests += requests
	t.streams += streams
	t.sum.Requests += requests
	t.sum.Streams += streams
}

// of lists u's flights of a kind that count.
func (t *tally) of(u *upstream, kind int) []*flight {
	return slices.DeleteFunc(u.flights.of(kind), func(f *flight) bool { return !t.concerns(f) })
}

func (t *tally) concerns(f *flight) bool { return !t.marked || f.marked }

func (t *tally) unwatch(u *upstream) {
	u.pool.mu.Lock()
	defer u.pool.mu.Unlock()
	for i, other := range u.tallies {
		if other == t {
			u.tallies = append(u.tallies[:i:i], u.tallies[i+1:]...)
			return
		}
	}
}

// joined notes a claim on an upstream that is watched while it takes traffic: when
// the whole proxy ends.
func (t *tally) joined(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.kind == request && t.concerns(f) {
		t.requests++
		t.sum.Requests++
	}
}

func (t *tally) left(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.concerns(f) {
		return
	}
	defer t.tell()
	switch f.kind {
	case request:
		t.requests--
		t.sum.Longest = time.Since(t.begin)
		if f.wasCut {
			t.sum.Cut++
		}
	case stream:
		t.streams--
		switch f.fate() {
		case inOrder:
			t.sum.StreamsClosed++
		case quietly:
			t.sum.StreamsQuiet++
		case cutOff:
			t.sum.StreamsCut++
		default:
			t.sum.StreamsEnded++
		}
	}
}

// turned notes that something became a stream: a request whose answer is one.
func (t *tally) turned(f *flight, was int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.concerns(f) {
		return
	}
	defer t.tell()
	t.streams++
	t.sum.Streams++
	if was == request {
		t.requests--
		t.sum.Longest = time.Since(t.begin)
	}
}

func (t *tally) tell() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *tally) open() (requests, streams int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.requests, t.streams
}

func (t *tally) drained() steady.Drained {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sum
}
