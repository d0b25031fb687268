package proxy

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// What a pool has learnt about who speaks first on its connections.
const (
	unknown     = iota
	clientFirst // HTTP was seen, or an upstream kept silent: silent clients are waited for
	serverFirst // an upstream spoke first (SMTP, MySQL, SSH, NATS): clients are relayed at once
)

const (
	// silence is how long a client of an Auto listener may say nothing before the
	// upstream is asked whether it speaks first. Such protocols start that much
	// later, once; browsers that connect ahead are seldom so quick.
	silence = 100 * time.Millisecond
	// askAgain is how long to wait where there is no upstream to ask.
	askAgain = time.Second
	// httpWords begin an answer that an HTTP server gives without a request.
	httpWords = "HTTP/"
	// speakWait is how long an upstream has to speak first.
	speakWait = 5 * time.Second
)

// greet finds out what a fresh connection speaks and passes it on: to net/http or
// to a relay. Nothing of it is consumed, so both get the bare connection.
//
// A silent client of an Auto listener may be a browser that connects ahead, which
// must not be relayed, or wait for the server's greeting, for which it must. So
// the upstream is asked: a connection is opened to it, and who speaks first
// decides. A pool asks only until it has learnt the answer.
func (p *Proxy) greet(ctx context.Context, c *clientConn) {
	for {
		kind, err := p.tell(ctx, c)
		switch {
		case err != nil:
			c.Close()
			return
		case kind == speaksOther:
			if p.carry(ctx, c, nil) {
				return
			}
		case kind == carried:
			return
		default:
			p.http.hand(c)
			return
		}
	}
}

// carried is what tell says when the connection has been relayed to its end.
const carried = -1

// tell says what the client speaks.
func (p *Proxy) tell(ctx context.Context, c *clientConn) (int, error) {
	b := c.door.behind.Load()
	pool, auto := b.pool, b.protocol == steady.Auto
	if b.protocol == steady.TCP {
		return speaksOther, nil
	}
	patience := p.limits.IdleTimeout
	learnt := pool.learnt.Load()
	if auto {
		switch learnt {
		case serverFirst:
			return speaksOther, nil
		case unknown:
			patience = silence
		}
	}
	kind, err := c.listen(patience, p.limits.ReadHeaderTimeout)
	if errors.Is(err, os.ErrDeadlineExceeded) && auto && learnt == unknown {
		return p.ask(ctx, c, pool)
	}
	switch {
	case err != nil:
		return kind, err
	case kind == speaksHTTP:
		pool.learnt.CompareAndSwap(unknown, clientFirst)
	case kind == speaksHTTP2:
		return speaksOther, nil // the app speaks it or hangs up; we do not translate
	case !auto:
		return speaksHTTP, nil // and net/http says what is wrong with it
	}
	return kind, nil
}

// listen waits for the client's first words.
func (c *clientConn) listen(patience, head time.Duration) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	defer c.SetReadDeadline(time.Time{})
	return peek(c.TCPConn, head)
}

// ask connects a silent client to an upstream and waits for who speaks first.
func (p *Proxy) ask(ctx context.Context, c *clientConn, pool *pool) (int, error) {
	for end := time.Now().Add(p.limits.IdleTimeout); time.Now().Before(end); {
		// Before the claim: from then on a shift may set it, to be heard here.
		_ = c.SetReadDeadline(time.Now().Add(speakWait))
		r := newRelay(pool, c.TCPConn)
		if !r.open(ctx) {
			// Nobody to ask: nothing is learnt.
			if kind, err := c.listen(askAgain, p.limits.ReadHeaderTimeout); !errors.Is(err, os.ErrDeadlineExceeded) {
				return kind, err
			}
			continue
		}
		kind, err := p.first(c, r, pool)
		if kind == speaksOther || kind == speaksHTTP2 {
			if p.carry(ctx, c, r) {
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
	}
	return c.listen(p.limits.IdleTimeout, p.limits.ReadHeaderTimeout)
}

// first waits for who speaks first: the client at c or the upstream at r.
func (p *Proxy) first(c *clientConn, r *relay, pool *pool) (int, error) {
	spoke := r.upstreamSpeaks(c.TCPConn)
	kind, err := peek(c.TCPConn, p.limits.ReadHeaderTimeout)
	server := spoke()
	_ = c.SetReadDeadline(time.Time{})
	switch {
	case server:
		pool.learnt.Store(serverFirst)
		return speaksOther, nil
	case kind == speaksHTTP:
		pool.learnt.Store(clientFirst)
	}
	return kind, err
}

// upstreamSpeaks waits for the upstream's first word beside the caller and then
// interrupts the caller's peek at the client. The function returned ends the wait
// and says whether it came.
func (r *relay) upstreamSpeaks(client *net.TCPConn) func() bool {
	done := make(chan struct{})
	var err error
	http := false
	go func() {
		defer close(done)
		var said [len(httpWords)]byte
		err = peekEach(r.upstream, said[:], func(b []byte) bool {
			http = string(b) == httpWords // a 408: it waited for a request
			return http || !strings.HasPrefix(httpWords, string(b))
		})
		_ = client.SetReadDeadline(time.Unix(1, 0))
	}()
	return func() bool {
		_ = r.upstream.SetReadDeadline(time.Unix(1, 0))
		<-done
		_ = r.upstream.SetReadDeadline(time.Time{})
		return err == nil && !http
	}
}

// carry relays the connection to its end; r is open already, or nil. False: a
// shift was faster, and the client is still waiting.
func (p *Proxy) carry(ctx context.Context, c *clientConn, r *relay) bool {
	if r == nil {
		r = newRelay(c.door.behind.Load().pool, c.TCPConn)
		if !r.open(ctx) {
			r.lost()
			reset(c.TCPConn)
			c.Close()
			return true
		}
	}
	if !r.carry() {
		return false
	}
	c.Close()
	return true
}
