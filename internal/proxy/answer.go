package proxy

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// answer is the body of an upstream's answer on its way to the client. It notes
// whether the upstream broke it off, and can end an event stream between two
// events.
type answer struct {
	body     io.ReadCloser
	line     *lineUse // it is read from; nil where net/http's Transport has it
	x        *exchange
	switched *http.Response // the 101, where the answer is one
	tunnel   atomic.Pointer[tunnel]

	sse    bool
	opaque bool    // compressed: events cannot be told, only silence
	ending *ending // of an event stream

	mu      sync.Mutex
	between bool // between two events
	last    bool // the event under way is the last
	ended   bool // between two events, by us
	newline byte // line ends seen at the end: '\n' after one, '\r' after a lone \r, 0 after none
	seen    byte // last byte
}

func (a *answer) Read(b []byte) (int, error) {
	if a.ending != nil {
		a.ending.passed(fromServer) // what was read before
	}
	n, err := a.body.Read(b)
	if a.line != nil && err != nil {
		a.line.done(err == io.EOF)
	}
	if err != nil && err != io.EOF && a.x.in.Context().Err() != nil {
		err = a.x.in.Context().Err() // the line says that its deadline has passed
	}
	if a.sse {
		if n > 0 {
			a.ending.heard(fromServer)
		}
		return a.events(b, n, err)
	}
	if err != nil && err != io.EOF {
		a.x.broken = err
	}
	return n, err
}

// Close ends the answer. One not read to its end takes its connection with it:
// net/http's own body would read on to the end.
func (a *answer) Close() error {
	if a.ending != nil {
		a.ending.stop()
	}
	if a.line == nil {
		return a.body.Close()
	}
	a.line.done(false)
	return nil
}

// events follows the stream's events and, when it is to end, ends it after the
// first whole one.
func (a *answer) events(b []byte, n int, err error) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended || a.last && a.between {
		a.ended = true
		return 0, io.EOF
	}
	for i, c := range b[:n] {
		a.follow(c)
		if a.between && a.last {
			a.ended = true
			return i + 1, io.EOF
		}
	}
	if a.opaque && n > 0 {
		a.between = true
	}
	if err != nil && err != io.EOF {
		a.x.broken = err
	}
	return n, err
}

// follow tells event ends: an empty line, ended by \n, \r\n or \r
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (a *answer) follow(c byte) {
	last := a.seen
	a.seen = c
	switch {
	case c == '\n' && last == '\r': // the second half of a line end already counted
		return
	case c == '\n' || c == '\r':
		a.between = a.newline != 0
		a.newline = c
	default:
		a.between = false
		a.newline = 0
	}
}

// end asks the event stream to end after the event under way, at once where there is
// none. One whose events cannot be told ends when its server has been silent for a
// while.
func (a *answer) end(patience time.Duration) {
	if a.opaque {
		a.ending.begin(patience)
		return
	}
	a.finish(true)
}

func (a *answer) finish(bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = true
	if a.between {
		a.x.cancel(errEnded) // wakes a Read that waits for the next event
	}
	return true
}

// nothingUnread: an event stream has nothing to hear of its client, and what its server
// has sent is in net/http's hands.
func nothingUnread() bool { return false }

func (a *answer) how() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return inOrder
	}
	return byItself
}
