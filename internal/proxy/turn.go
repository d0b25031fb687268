package proxy

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// A client that is turned away while it sends a body is heard out: to close with
// bytes unread would reset the connection, and with it the answer. These are how
// long it may be silent meanwhile, and go on in all.
const (
	hearIdle = 2 * time.Second
	hearMost = 10 * time.Second
)

// ready implements comer. A split may have begun while the client waited, so its
// place is looked for before each claim until it has one.
func (x *exchange) ready() {
	if !x.placed {
		x.recallPlace()
	}
}

// gone implements comer: whether the client of an HTTP/1 request has left. Where a
// body has not been read, or something was pipelined, net/http cannot see it.
func (x *exchange) gone() bool {
	c, ok := x.from.(*clientConn)
	return ok && c.TCPConn != nil && x.in.ProtoMajor < 2 && hasLeft(c.TCPConn, true)
}

// turnOff refuses a request at the gate.
func (x *exchange) turnOff() {
	x.pool.nobody.turned.Add(1)
	x.outcome = outcomeLost
	x.pool.nobody.requests.Add(1)
	x.pool.nobody.lost.Add(1)
	x.refuse(http.StatusServiceUnavailable)
}

// hearOut reads what the client still sends of a body that nobody has touched, now
// that it can read its answer. net/http reads on by itself only where the client did
// not say Connection: close, and of 256 KiB at the most.
func (x *exchange) hearOut() {
	body := x.in.Body
	if x.body != nil {
		body = x.body.ReadCloser
	}
	switch {
	case x.given, x.in.ContentLength == 0, body == nil, x.in.ProtoMajor >= 2:
		return
	case x.body != nil && x.body.known, x.in.Header.Get("Expect") != "": // who asks before it sends is not bidden to
		return
	}
	rc := http.NewResponseController(x.ResponseWriter)
	if rc.Flush() != nil {
		return
	}
	end := time.Now().Add(hearMost)
	b := x.proxy.buffers.Get()
	defer x.proxy.buffers.Put(b)
	for now := time.Now(); now.Before(end); now = time.Now() {
		_ = rc.SetReadDeadline(now.Add(min(hearIdle, end.Sub(now))))
		_, err := body.Read(b)
		if err == io.EOF || errors.Is(err, http.ErrBodyReadAfterClose) { // net/http has read it all
			_ = rc.SetReadDeadline(time.Time{})
			return
		}
		if err != nil {
			break
		}
	}
	// Else net/http would go on to wait for the body, and take what comes of it late
	// for another request.
	x.in.Context().Value(connKey{}).(*clientConn).deaf.Store(true)
}

// hearRest hears a client out whose answer was over before its body. The transport
// reads no more of that, as the exchange is finished.
func (x *exchange) hearRest(aborted bool) {
	if aborted || x.body == nil || x.kind == stream || x.isCut.Load() || x.body.failed() != nil {
		return
	}
	x.given = false
	x.hearOut()
}

// reclaim claims anew for a request that came to nothing at an upstream. False: it
// will not be sent any more, and why is counted.
func (x *exchange) reclaim(avoid *upstream) bool {
	u, err := x.claim(avoid)
	for errors.Is(err, errAnew) { // it was under way when the maintenance began
		u, err = x.claim(avoid)
	}
	count := x.pool.nobody
	switch {
	case u != nil:
		return true
	case errors.Is(err, errLeft):
		x.outcome = outcomeLeft
		count.requests.Add(1)
		count.left.Add(1)
		x.cancel(errLeft)
		return false
	case err != nil:
		count.turned.Add(1)
	}
	count.requests.Add(1)
	count.lost.Add(1)
	return false
}
