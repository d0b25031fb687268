package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
)

// What a pool has learnt about who speaks first on its connections.
const (
	unknown     = iota
	clientFirst // an upstream answered HTTP or kept silent: silent clients are waited for
	serverFirst // an upstream spoke first (SMTP, MySQL, SSH, NATS): clients are relayed at once
)

const (
	// silence is how long a client of a published Auto listener may say nothing
	// before the upstream is asked whether it speaks first. Such protocols start
	// that much later, once; browsers that connect ahead are seldom so quick.
	silence = 100 * time.Millisecond
	// askAgain is how long to wait where there is no upstream to ask.
	askAgain = time.Second
	// speakWait is how long a published port's upstream has to speak first.
	speakWait = 5 * time.Second
)

// carried is what tell says when nothing is left to be done: the connection has
// been relayed to its end, or turned away.
const carried = -1

// anew is what tell says when a maintenance has begun meanwhile, or the listener leads
// to another pool.
const anew = -3

// greet finds out what a fresh connection speaks and passes it on: to net/http or
// to a relay. Nothing of it is consumed, so both get the bare connection.
//
// A silent client of an Auto listener may be a browser that connects ahead, which
// must not be relayed, or wait for the server's greeting, for which it must. So
// the upstream is asked: a connection is opened to it, and who speaks first
// decides. A pool asks only until it has learnt the answer.
//
// At a holder's listener everybody is asked for at once, so that no protocol is
// any later than it would be without us, and a port on which no replica listens
// refuses before anything was said.
func (p *Proxy) greet(ctx context.Context, c *clientConn) {
	if !c.arrive() {
		c.turnAway()
		return
	}
	for p.meet(ctx, c) {
	}
}

// meet passes the connection on by the table in force. True: a shift was faster,
// and the client is still waiting.
func (p *Proxy) meet(ctx context.Context, c *clientConn) (again bool) {
	b := c.door.behind.Load()
	switch {
	case b.tls:
		p.secure(c)
		return false
	case b.rules != nil:
		p.welcome(c)
		return false
	}
	pool := b.take(c.meant)
	if pool == nil {
		c.turnAway()
		return false
	}
	defer pool.release()
	if pool.keepsOut(c) {
		p.hearOut(c, pool, b.protocol)
		return false
	}
	kind, err := p.tell(ctx, c, pool, b.protocol)
	switch {
	case err != nil:
		c.Close()
	case kind == carried:
	case kind == anew:
		return true
	case relays(kind):
		return !p.carry(ctx, c, pool, nil, b.protocol)
	default:
		p.handHTTP(c)
	}
	return false
}

// relays says whether what speaks so is relayed as it is: never HTTP.
func relays(kind int) bool { return kind == speaksText || kind == speaksOther }

// tell says what the client speaks. Where the app is declared to speak HTTP so does
// the client, and net/http says what is wrong with what does not. Where it is only
// known to, connections that begin with a byte that no request begins with are
// still its own matter: an app may answer TLS beside HTTP at one port.
func (p *Proxy) tell(ctx context.Context, c *clientConn, pool *pool, protocol string) (int, error) {
	if protocol == steady.TCP {
		return speaksOther, nil
	}
	auto := protocol == steady.Auto
	known := !auto || pool.http.Load()
	learnt := pool.learnt.Load()
	if known {
		learnt = clientFirst
	}
	wait := p.peekTimes(known)
	switch {
	case learnt == serverFirst:
		return speaksOther, nil
	case learnt == unknown && pool.template != nil:
		return p.ask(ctx, c, pool)
	case learnt == unknown:
		wait.first = silence
	}
	kind, err := c.listen(wait)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && learnt == unknown:
		return p.ask(ctx, c, pool)
	case err == nil && relays(kind) && (!auto || known && kind == speaksText):
		return speaksHTTP, nil
	}
	return kind, err
}

// peekTimes is how long clients are waited for. Text that has not come to a line's
// end is held back no longer than a silent client, but where only a request can
// come of it.
func (p *Proxy) peekTimes(http bool) peekTimes {
	w := peekTimes{first: p.limits.IdleTimeout, head: p.limits.ReadHeaderTimeout, text: silence}
	if http {
		w.text = w.head
	}
	return w
}

// from is the same with another time for the first byte.
func (w peekTimes) from(first time.Duration) peekTimes {
	w.first = first
	return w
}

// listen waits for the client's first words.
func (c *clientConn) listen(wait peekTimes) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(wait.first))
	defer c.SetReadDeadline(time.Time{})
	return peek(c.TCPConn, wait)
}

// handHTTP gives a connection that speaks HTTP to net/http, without an empty line
// before its first request (RFC 9112 2.2).
func (p *Proxy) handHTTP(c *clientConn) {
	if err := c.skipEmptyLine(); err != nil {
		c.Close()
		return
	}
	p.http.hand(c)
}

// skipEmptyLine consumes a line's end that is the first to be read.
func (c *clientConn) skipEmptyLine() error {
	var b [2]byte
	n := 0
	err := peekEach(c.TCPConn, b[:], len(b), func(b []byte) bool {
		switch {
		case b[0] == '\n':
			n = 1
		case string(b) == "\r\n":
			n = 2
		}
		return true
	})
	if err != nil || n == 0 {
		return err
	}
	_, err = io.ReadFull(c.TCPConn, b[:n])
	return err
}

// ask connects a silent client to an upstream and waits for who speaks first.
func (p *Proxy) ask(ctx context.Context, c *clientConn, pool *pool) (int, error) {
	for end := time.Now().Add(p.limits.IdleTimeout); time.Now().Before(end); {
		if pool.keepsOut(c) {
			return anew, nil
		}
		r := newRelay(pool, c.TCPConn)
		if !r.open(ctx, pool.speakBy) {
			if r.unheard {
				c.turnAway()
				return carried, nil
			}
			if errors.Is(r.stopped, errAnew) {
				continue
			}
			if errors.Is(r.stopped, errUnlisted) && c.moved(pool) {
				return anew, nil
			}
			if errors.Is(r.stopped, errLeft) {
				r.lost()
				return undecided, r.stopped
			}
			// Nobody to ask: nothing is learnt. Who has begun to speak HTTP meanwhile
			// gets its answer at the gate, request by request.
			if kind, err := c.listen(p.peekTimes(false).from(askAgain)); !errors.Is(err, os.ErrDeadlineExceeded) {
				return kind, err
			}
			continue
		}
		kind, err := p.first(c, r, pool)
		if relays(kind) {
			if p.carry(ctx, c, pool, r, steady.Auto) {
				return carried, nil
			}
			continue // a shift was faster
		}
		r.drop()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return kind, err
		}
		if !r.isCut() { // silence for speakWait, or the upstream did not like it either
			pool.learnt.CompareAndSwap(unknown, clientFirst)
			break
		}
		end = time.Now().Add(p.limits.IdleTimeout)
	}
	return c.listen(p.peekTimes(false))
}

// speakBy is until when a client and the upstream it was connected to may both be
// silent. Calls from within may as long as they like, as without us.
func (p *pool) speakBy() time.Time {
	if p.template != nil {
		return time.Time{}
	}
	return time.Now().Add(speakWait)
}

// first waits for who speaks first: the client at c or the upstream at r.
func (p *Proxy) first(c *clientConn, r *relay, pool *pool) (int, error) {
	heard := r.hear(c.TCPConn)
	kind, err := peek(c.TCPConn, p.peekTimes(false))
	said := heard()
	_ = c.SetReadDeadline(time.Time{})
	switch {
	case said == speaksOther:
		pool.learnt.Store(serverFirst)
		return speaksOther, nil
	case pool.template == nil || said == speaksHTTP || kind == speaksHTTP || kind == speaksHTTP2 || r.isCut():
		return kind, err
	case said == hungUpFirst && errors.Is(err, os.ErrDeadlineExceeded), err == nil:
		return speaksText, nil // its end is passed on, as what the client began to say
	}
	return kind, err
}

// hungUpFirst is what hear says of an upstream that closed without a word.
const hungUpFirst = -2

// hear waits for the upstream's first word beside the caller and then interrupts
// the caller's peek at the client. The function returned ends the wait and says
// what came: undecided where nothing did.
func (r *relay) hear(client *net.TCPConn) func() int {
	done := make(chan struct{})
	var err error
	var stopped atomic.Bool
	kind, begun := undecided, false
	go func() {
		defer close(done)
		var said [longestGreeting]byte
		err = peekEach(r.upstream, said[:], len(said), func(b []byte) bool {
			kind = classifyGreeting(b)
			if kind == undecided && !begun {
				begun = true
				_ = r.upstream.SetReadDeadline(time.Now().Add(silence))
			}
			return kind != undecided
		})
		if begun && !stopped.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
			kind, err = speaksOther, nil // that was all of it
		}
		_ = client.SetReadDeadline(time.Unix(1, 0))
	}()
	return func() int {
		stopped.Store(true)
		_ = r.upstream.SetReadDeadline(time.Unix(1, 0))
		<-done
		_ = r.upstream.SetReadDeadline(time.Time{})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return undecided
		case err != nil:
			return hungUpFirst
		}
		return kind
	}
}

// refuse ends a connection for which there is no upstream, and counts it. False: a
// maintenance has begun or ended, or the listener leads to another pool by now, and the
// client is still waiting.
func (r *relay) refuse(c *clientConn) bool {
	left := errors.Is(r.stopped, errUnlisted)
	if errors.Is(r.stopped, errAnew) || left && c.moved(r.pool) {
		return false
	}
	r.lost()
	if r.stopped != nil && !left {
		c.Close()
		return true
	}
	c.turnAway()
	return true
}

// carry relays the connection to its end; r is open already, or nil. False: a
// shift was faster, and the client is still waiting.
func (p *Proxy) carry(ctx context.Context, c *clientConn, pool *pool, r *relay, protocol string) bool {
	if r == nil {
		r = newRelay(pool, c.TCPConn)
		if !r.open(ctx, whenever) {
			return r.refuse(c)
		}
	}
	if pool.keepsOut(c) { // since before the claim, or the claim would have been marked
		r.drop()
		return false
	}
	r.first.wary = protocol == steady.Auto && pool.learnt.Load() != serverFirst
	if !r.carry() {
		return false
	}
	c.Close()
	return true
}
