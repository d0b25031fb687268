package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// relay carries one TCP connection, or asks an upstream whether it speaks first.
type relay struct {
	flight
	pool   *pool
	client *net.TCPConn
	ending *ending

	mu       sync.Mutex
	upstream *net.TCPConn // nil until dialled
	closed   bool
	stop     context.CancelFunc

	// unheard: everyone asked refuses the connection, at a port where nobody has
	// ever answered. Nothing listens there, and nothing is lost.
	unheard bool
	// stopped is why it did not come past the gate; nil: it did.
	stopped error
	first   firstLine        // of the client
	speakBy func() time.Time // until when the client may be read, asked before each claim
}

func newRelay(p *pool, client *net.TCPConn) *relay {
	r := &relay{pool: p, client: client, flight: flight{from: client}}
	r.flight.ender = r
	r.ending = newEnding(r.unread, r.finish)
	return r
}

// open claims an upstream and dials it; another where that fails. Until it is
// carried it is a question, which a shift breaks off, and then another upstream
// is claimed. One that refuses is not asked twice where it is not known that
// anything listens on that port at all. speakBy is until when the client may be
// read: a shift that breaks a question off leaves it in the past, so it is set
// before each claim.
func (r *relay) open(ctx context.Context, speakBy func() time.Time) bool {
	var avoid *upstream
	var refused []*upstream
	pause := firstPause
	r.speakBy = speakBy
	for range maxTries {
		u, err := r.enter(ctx, avoid)
		if r.stopped = err; u == nil {
			return false
		}
		if slices.Contains(refused, u) {
			r.unheard = true
			r.pool.leave(&r.flight)
			return false
		}
		again := u == avoid
		if again && !wait(ctx, pause) {
			r.pool.leave(&r.flight)
			return false
		}
		err = r.dial(ctx, u)
		if err == nil {
			return true
		}
		r.pool.leave(&r.flight)
		if errors.Is(err, syscall.ECONNREFUSED) && r.pool.template != nil && !r.pool.reached.Load() {
			refused = append(refused, u)
		}
		if again {
			pause *= 2
		}
		avoid = u
	}
	r.unheard = len(refused) == maxTries
	return false
}

// enter claims an upstream, past the gate. A maintenance that lets the client through
// takes nobody's place; errAnew is of one that does not.
func (r *relay) enter(ctx context.Context, avoid *upstream) (*upstream, error) {
	for {
		u, err := r.pool.enter(ctx, &r.flight, avoid, r)
		if !errors.Is(err, errAnew) {
			return u, err
		}
		if r.pool.keepsOut(r.client) {
			r.pool.forsake(&r.flight)
			return nil, err
		}
	}
}

// ready implements comer.
func (r *relay) ready() {
	r.kind, r.wasCut = question, false
	_ = r.client.SetReadDeadline(r.speakBy())
}

// gone implements comer. A client that ended without a word has left; one that has
// said something may have said all.
func (r *relay) gone() bool { return hasLeft(r.client, false) }

// lost counts a connection that could not be opened, for the upstream tried last.
func (r *relay) lost() {
	count := r.pool.nobody
	switch {
	case errors.Is(r.stopped, errLeft):
		count.left.Add(1)
		return
	case errors.Is(r.stopped, errTurned):
		count.turned.Add(1)
		count.lost.Add(1)
		return
	case r.unheard:
		return
	}
	if u := r.flight.upstream; u != nil {
		u.count.lost.Add(1)
		return
	}
	r.pool.nobody.lost.Add(1)
}

// whenever is no deadline.
func whenever() time.Time { return time.Time{} }

func (r *relay) dial(ctx context.Context, u *upstream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	r.closed, r.upstream, r.stop = false, nil, cancel
	r.mu.Unlock()
	c, err := u.dial(ctx, "tcp", "")
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		c.Close()
		return errCut
	}
	r.upstream = c.(*net.TCPConn)
	return nil
}

// drop leaves the upstream without having carried anything.
func (r *relay) drop() {
	_ = r.upstream.Close()
	r.pool.leave(&r.flight)
}

// carry relays both ways until both have ended and leaves. Bare TCP connections
// on both sides let the kernel move what is there to be read. False: a shift was
// faster, and nothing was carried.
func (r *relay) carry() bool {
	if !r.pool.stream(&r.flight) {
		r.drop()
		return false
	}
	r.ending.passed(fromServer) // which may be about to greet
	up := make(chan struct{})
	go func() {
		defer close(up)
		r.copy(r.upstream, r.client, fromClient)
	}()
	r.copy(r.client, r.upstream, fromServer)
	if r.ending.ended() == byItself {
		<-up
		r.over()
		return true
	}
	// Nothing is in flight at the upstream any more. The client has been told, and may
	// still have to read its last answers: it gets time to close.
	_ = r.client.SetReadDeadline(time.Now().Add(lastWords))
	r.over()
	<-up
	return true
}

// over leaves the upstream.
func (r *relay) over() {
	r.ending.stop()
	_ = r.upstream.Close()
	r.pool.leave(&r.flight)
}

// copy passes the end of one way on as such; what breaks, breaks both, unless the stream
// was ended: then whatever still comes is read and dropped, as closing a socket with
// something unread in it resets it.
func (r *relay) copy(dst, src *net.TCPConn, from int) {
	err := r.pass(dst, src, from)
	how := r.ending.ended()
	switch {
	case err == nil:
		_ = dst.CloseWrite()
		r.ending.passed(from)
	case how == byItself, how == cutOff && from == fromServer:
		r.cut()
	default:
		_, _ = io.Copy(io.Discard, src)
	}
}

// pass moves what comes from src to dst, piece by piece, so that it is known when
// something is under way, until src ends or the stream was ended.
func (r *relay) pass(dst, src *net.TCPConn, from int) error {
	raw, err := src.SyscallConn()
	if err != nil {
		return err
	}
	piece := io.LimitedReader{R: src}
	for {
		piece.N, err = readable(raw)
		if err != nil && err != io.EOF {
			return err
		}
		switch heard := isPong(raw, piece.N, from) || r.ending.heard(from); {
		case err == io.EOF:
			return nil
		case !heard:
			return errEnded
		}
		if from == fromClient && r.first.wary {
			err = r.first.pass(dst, &piece)
		}
		if err == nil {
			_, err = dst.ReadFrom(&piece)
		}
		if err != nil {
			return err
		}
		r.ending.passed(from)
	}
}

// end has the stream ended at its first quiet moment, at the latest when patience is
// over.
func (r *relay) end(patience time.Duration) { r.ending.begin(patience) }

// finish tells both sides by a FIN, TCP having no other way to say so. At a moment that
// is not quiet the client's comes after the server's own, so after its last answer.
func (r *relay) finish(quiet bool) bool {
	if quiet {
		_ = r.client.CloseWrite()
	}
	_ = r.upstream.CloseWrite()
	return true
}

// unread says whether either side has sent what has not been read yet.
func (r *relay) unread() bool { return unreadIn(r.client) || unreadIn(r.upstream) }

// cut resets both connections; a question's only towards the upstream, as its
// client will be asked for elsewhere.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.stop != nil {
		r.stop()
	}
	if r.upstream != nil {
		reset(r.upstream)
	}
	if r.kind == question {
		// wakes the wait for the client's first word
		_ = r.client.SetReadDeadline(time.Unix(1, 0))
		return
	}
	reset(r.client)
}

func (r *relay) isCut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

func (r *relay) how() int { return r.ending.ended() }

func (r *relay) peer() string { return host(r.client.RemoteAddr().String()) }

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
