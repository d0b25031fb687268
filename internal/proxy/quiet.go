package proxy

import (
	"io"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// quietFor is how long neither side of a stream must have sent anything, the server
	// having been the last, for a quiet moment: nothing is under way then, as far as can
	// be told without knowing the protocol. It outlasts the pauses that a scheduler makes
	// in an answer, those of a container with half a processor among them.
	quietFor = 50 * time.Millisecond
	// quietLeast is the same for a stream that was never silent for quietFor in the first
	// part of its time: one that asks again as soon as it is answered.
	quietLeast = time.Millisecond
	// quietShare is that first part: a quarter.
	quietShare = 4
)

// Who sends on a stream.
const (
	fromServer = iota
	fromClient
)

// How a stream ended that was asked to.
const (
	byItself = iota // before its turn came
	inOrder         // told so in its own protocol
	quietly         // at a quiet moment
	cutOff
)

// ending watches who sends on a stream, so that it can be ended at a quiet moment.
// Its methods may be called by several goroutines.
type ending struct {
	// unread says whether a socket has bytes that nobody has read yet.
	unread func() bool
	// finish ends the stream. False: not now, as a message is under way; it is asked for
	// again unless the moment was not quiet anyway. Called with mu held.
	finish func(quiet bool) bool

	mu      sync.Mutex
	last    int       // who sent last
	at      time.Time // when that was passed on
	passing [2]bool   // read, not passed on yet; by who sent it
	pause   time.Duration
	begun   time.Time // when the end was asked for
	until   time.Time // when it comes at the latest
	timer   *time.Timer
	over    bool // the stream has ended
	how     int
}

func newEnding(unread func() bool, finish func(quiet bool) bool) *ending {
	return &ending{unread: unread, finish: finish, at: time.Now()}
}

// heard notes that bytes were read, or an end. False: the stream has been ended, and
// they come to nothing.
func (e *ending) heard(from int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.how == quietly || e.how == cutOff && from == fromClient {
		return false
	}
	now := time.Now()
	if e.timer != nil && from == fromServer && e.last == fromServer {
		e.pause = max(e.pause, now.Sub(e.at)) // within one answer, perhaps
	}
	e.last, e.at, e.passing[from] = from, now, true
	return true
}

// passed notes that what was heard has been passed on. Who was heard last stays: an
// answer may be quicker than the goroutine that passed its question on.
func (e *ending) passed(from int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.passing[from], e.at = false, time.Now()
	if e.timer != nil && !e.over && from == fromServer {
		e.timer.Reset(min(e.need(e.at), e.until.Sub(e.at)))
	}
}

// begin looks for a quiet moment for as long as patience lasts.
func (e *ending) begin(patience time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer != nil || e.over {
		return
	}
	e.begun = time.Now()
	e.until = e.begun.Add(patience)
	e.timer = time.AfterFunc(0, e.try)
}

// need is how long a silence has to be.
func (e *ending) need(now time.Time) time.Duration {
	if now.Before(e.begun.Add(e.until.Sub(e.begun) / quietShare)) {
		return quietFor
	}
	return min(max(2*e.pause, quietLeast), quietFor)
}

// try ends the stream if the moment is quiet, or the last one.
func (e *ending) try() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over || e.how != byItself {
		return
	}
	now := time.Now()
	need := e.need(now)
	silent := now.Sub(e.at)
	calm := e.last == fromServer && !e.passing[fromServer] && !e.passing[fromClient]
	switch {
	case calm && silent >= need && !e.unread() && e.finish(true):
		e.how = quietly
	case !now.Before(e.until):
		e.how = cutOff
		e.finish(false)
	case calm && silent < need:
		e.timer.Reset(min(need-silent, e.until.Sub(now)))
	default: // whatever the server says next comes back to it
		e.timer.Reset(min(quietFor, e.until.Sub(now)))
	}
}

// stop is called when the stream has ended, and tells how.
func (e *ending) stop() (how int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	if e.timer != nil {
		e.timer.Stop()
	}
	return e.how
}

func (e *ending) ended() (how int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.how
}

// readable waits until c has something to read and says how much that is; io.EOF when
// its other end sends no more.
func readable(c syscall.RawConn) (int64, error) {
	var n int
	var failed error
	err := c.Read(func(fd uintptr) bool {
		if n, failed = waiting(fd); n > 0 || failed != nil {
			return true
		}
		// What was signalled before is not signalled again, so an end is looked for too.
		n, failed = peekOne(fd)
		return n != 0 || failed != nil
	})
	if failed != nil {
		err = failed
	}
	return int64(n), err
}

// unreadIn says whether c has bytes that nobody has read yet.
func unreadIn(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	_ = raw.Control(func(fd uintptr) { n, _ = waiting(fd) })
	return n > 0
}

// peekOne looks for one byte: 0 without an error where nothing has come yet.
func peekOne(fd uintptr) (int, error) {
	var one [1]byte
	for {
		n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, nil
		case err == nil && n == 0:
			return 0, io.EOF
		default:
			return max(n, 0), err
		}
	}
}

// waiting is how many bytes a socket has to read.
func waiting(fd uintptr) (int, error) { return unix.IoctlGetInt(int(fd), unix.SIOCINQ) }
