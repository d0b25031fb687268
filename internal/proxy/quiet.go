package proxy

import (
	"sync"
	"time"
)

const (
	// quietFor is how long neither side of a stream must have sent anything, the server
	// having been the last, for a quiet moment: nothing is under way then, as far as can
	// be told without knowing the protocol. It outlasts the pauses that a scheduler makes
	// in an answer, those of a container with half a processor among them.
	quietFor = 50 * time.Millisecond
	// quietLeast is the least that is asked of a stream that was never silent for quietFor
	// in the first part of its time, as its client asks again soon after each answer. More
	// is asked where its pauses are longer, so that it is ended in the midst of one.
	quietLeast = time.Millisecond
	// quietShare is that first part: a quarter.
	quietShare = 4
	// quietMargin is how far from the moment at which a client is likely to ask again its
	// stream must be to be ended: its question and the end would pass each other.
	quietMargin = 100 * time.Millisecond
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
	last    int           // who sent last
	at      time.Time     // when that was passed on
	passing [2]bool       // read, not passed on yet; by who sent it
	pause   time.Duration // longest between two words of the server's since begun
	rest    time.Duration // between an answer and the client's next word, the longer ones of late
	begun   time.Time     // when the end was asked for
	until   time.Time     // when it comes at the latest
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
	silent := now.Sub(e.at)
	switch {
	case e.last == fromClient:
	case from == fromClient:
		e.rest = max(silent, e.rest-(e.rest-silent)/8)
	case e.timer != nil:
		e.pause = max(e.pause, silent) // within one answer, perhaps
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

// need is how long a silence has to be: in the end about half as long as those behind
// answers are, less and less as time runs out, but longer than those within answers.
func (e *ending) need(now time.Time) time.Duration {
	whole, left := e.until.Sub(e.begun), e.until.Sub(now)
	if whole <= 0 || left > whole-whole/quietShare {
		return quietFor
	}
	half := time.Duration(float64(e.rest) / 2 * float64(left) / float64(whole))
	return min(max(half, 2*e.pause, quietLeast), quietFor)
}

// imminent says whether the client is likely to ask again just now, as it did before after
// that much silence.
func (e *ending) imminent(silent, need time.Duration) bool {
	return silent > max(e.rest/2, need*3/2) && (silent-e.rest).Abs() < quietMargin
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
	last := !now.Before(e.until)
	switch {
	case calm && silent >= need && (last || !e.imminent(silent, need)) && !e.unread() && e.finish(true):
		e.how = quietly
	case last:
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
