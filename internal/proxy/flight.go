package proxy

import (
	"net"
	"net/http"
	"time"
)

// Kinds of flight.
const (
	request  = iota // an HTTP request and its answer
	stream          // WebSocket and other upgrades, SSE, TCP
	question        // a silent client's: does the upstream speak first?
)

// ender ends what is in flight.
type ender interface {
	// cut breaks it off now. It is called with the pool's lock held and must not
	// block; calling it again is harmless.
	cut()
	// end asks a stream to end at its first quiet moment, and at the next boundary once
	// patience is over. It returns at once; the stream leaves by itself afterwards.
	end(patience time.Duration)
	// how says, once a stream has left that was asked to end, how it ended: byItself,
	// inOrder, quietly or cutOff.
	how() int
	// peer is the client's address, without its port.
	peer() string
}

// flight is something claimed on an upstream and not yet left. All fields are
// guarded by the pool's lock but those of the first group, which are set before
// the claim.
type flight struct {
	ender
	from   interface{ RemoteAddr() net.Addr } // the client's connection
	header http.Header                        // of the request; nil where there is none
	sign   string                             // of the upstreams that the client is kept at, this service's among them
	bytes  int64                              // of a request's body that are in memory

	place  int  // among steady.Places, where a split is in force
	placed bool // it has one
	drawn  bool // and its client does not know it yet

	kind       int
	upstream   *upstream
	kept       bool          // the client is where it was
	asked      bool          // end was called by a drain
	wasCut     bool          // cut was called by a drain
	marked     bool          // a maintenance began meanwhile that does not let it through
	stand      int           // why a claim gave nothing
	ticket     *ticket       // in line at the gate, until it is answered; nil: it never waited
	waited     time.Duration // at the gate, in all; its owner's
	prev, next *flight
}

// fate is how a stream that has left ended: byItself, inOrder, quietly or cutOff.
func (f *flight) fate() int {
	how := byItself
	if f.asked {
		how = f.how()
	}
	if how == byItself && f.wasCut {
		return cutOff
	}
	return how
}

// flights is a list through the flights themselves: joining and leaving cost no
// allocation and no search.
type flights struct {
	root flight
	n    [3]int // by kind
}

func (l *flights) add(f *flight) {
	if l.root.next == nil {
		l.root.next, l.root.prev = &l.root, &l.root
	}
	f.prev, f.next = l.root.prev, &l.root
	f.prev.next, f.next.prev = f, f
	l.n[f.kind]++
}

func (l *flights) remove(f *flight) {
	f.prev.next, f.next.prev = f.next, f.prev
	f.prev, f.next = nil, nil
	l.n[f.kind]--
}

func (l *flights) turn(f *flight, kind int) {
	l.n[f.kind]--
	f.kind = kind
	l.n[kind]++
}

// of lists the flights of one kind, oldest first.
func (l *flights) of(kind int) []*flight {
	out := make([]*flight, 0, l.n[kind])
	for f := l.root.next; f != nil && f != &l.root; f = f.next {
		if f.kind == kind {
			out = append(out, f)
		}
	}
	return out
}

// callers counts the streams of each client.
func (l *flights) callers() map[string]int {
	if l.n[stream] == 0 {
		return nil
	}
	out := map[string]int{}
	for _, f := range l.of(stream) {
		out[f.peer()]++
	}
	return out
}

func (l *flights) total() int { return l.n[request] + l.n[stream] + l.n[question] }
