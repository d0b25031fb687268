package proxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// A client that is turned away while it sends a body is heard out: to close with
// bytes unread would reset the connection, and with it the answer. These are how
// long it may be silent meanwhile, and go on in all.
const (
	hearIdle = 2 * time.Second
	hearMost = 10 * time.Second
)

// ready implements comer.
func (x *exchange) ready() {}

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
	const status = http.StatusServiceUnavailable
	h, body := x.Header(), http.StatusText(http.StatusServiceUnavailable)+"\n"
	clear(h)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Retry-After", retryAfter)
	x.last()
	x.WriteHeader(status)
	_, _ = io.WriteString(x, body)
	x.hearOut()
}

// hearOut reads what the client still sends of a body, now that it can read its
// answer. One that asked before it sends is not bidden to.
func (x *exchange) hearOut() {
	if x.body == nil || x.body.known || x.in.ProtoMajor >= 2 || x.in.Header.Get("Expect") != "" {
		return
	}
	rc := http.NewResponseController(x.ResponseWriter)
	if rc.Flush() != nil {
		return
	}
	end := time.Now().Add(hearMost)
	b := make([]byte, 32<<10)
	for now := time.Now(); now.Before(end); now = time.Now() {
		_ = rc.SetReadDeadline(now.Add(min(hearIdle, end.Sub(now))))
		if _, err := x.body.ReadCloser.Read(b); err != nil {
			break
		}
	}
	_ = rc.SetReadDeadline(time.Time{})
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
