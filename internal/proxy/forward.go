package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// maxTries is how often a request is offered to upstreams in all.
	maxTries = 5
	// firstPause is how long to wait before the same upstream is dialled again; it
	// doubles: with maxTries 375 ms in all.
	firstPause = 25 * time.Millisecond
)

// rewrite makes the outgoing request of the incoming one: the target exactly as
// it came, the same Host, and the headers that are passed on.
func (x *exchange) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	out.URL.Scheme = "http"
	out.URL.Host = "upstream" // a name for the transport; its dial knows the address
	out.URL.RawQuery = in.URL.RawQuery
	out.Host = in.Host
	if path, _, _ := strings.Cut(in.RequestURI, "?"); strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
		out.URL.Opaque = path
	}
	x.passOn(in, out)
}

// host is an address without its port.
func host(addr string) string {
	h, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return h
}

// idempotent says whether a request may be sent twice: by its method (RFC 9110,
// 9.2.2), or because its client gave it a key by which the app knows it again.
func idempotent(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.Header.Get("Idempotency-Key") != "" || r.Header.Get("X-Idempotency-Key") != ""
}

// RoundTrip sends the request to the upstream claimed, and to another where that
// cannot do harm. Kept connections that turn out to be closed are direct's
// matter, and net/http's for the rest: it sends again what is idempotent and can
// be rewound, and anything of which no byte was written.
func (x *exchange) RoundTrip(out *http.Request) (*http.Response, error) {
	out.Header["X-Request-Id"] = x.id[:] // here, so that a client's headers need no room for it
	x.body.rewindable(out)
	replayable := idempotent(x.in) && (out.Body == nil || out.GetBody != nil)
	pause := firstPause
	for {
		u := x.upstream
		x.given = true
		res, err := x.send(u, out, replayable)
		x.tries++
		if err == nil {
			return x.answered(x.recall(res, out))
		}
		if errors.As(err, new(*dialError)) {
			x.given = false // the body was closed unread
		}
		if !x.again(err, replayable) {
			return nil, err
		}
		x.unclaim()
		if !x.reclaim(u) {
			return nil, err
		}
		x.upstream.count.retried.Add(1)
		if x.upstream == u {
			if !wait(out.Context(), pause) {
				return nil, err
			}
			pause *= 2
		}
		x.body.rewindable(out)
	}
}

// send writes the request to an upstream and reads the answer's head. It is the one
// way to an app: nothing passes that is not a valid head.
func (x *exchange) send(u *upstream, out *http.Request, replayable bool) (*http.Response, error) {
	if err := checkHead(out.Method, out.URL.RequestURI(), out.Host, out.Header); err != nil {
		return nil, err
	}
	as2 := x.http2
	if x.came2 && !as2 {
		var err error
		if as2, err = u.takesHTTP2(out.Context()); err != nil {
			return nil, err
		}
	}
	if !as2 && x.plain(out) {
		return x.direct(u, out, replayable)
	}
	return x.transported(u, as2, out)
}

// transported sends the request by one of net/http's transports, and notes whether
// an answer had begun where it came to nothing.
func (x *exchange) transported(u *upstream, as2 bool, out *http.Request) (*http.Response, error) {
	var begun atomic.Bool
	out = out.WithContext(httptrace.WithClientTrace(out.Context(), &httptrace.ClientTrace{GotFirstResponseByte: func() { begun.Store(true) }}))
	t := u.transport
	if as2 {
		t = u.http2
	}
	res, err := t.RoundTrip(out)
	if err != nil && begun.Load() {
		return nil, &begunError{err}
	}
	return res, err
}

// begunError is an answer that broke off within its head, or after a 1xx.
type begunError struct{ err error }

func (e *begunError) Error() string { return e.err.Error() }
func (e *begunError) Unwrap() error { return e.err }

// again says whether the request may be offered once more. A connection that
// never was did no harm; a fresh one that broke before it answered may have been
// the end of a replica, so what is idempotent may try another.
func (x *exchange) again(err error, replayable bool) bool {
	if x.tries >= maxTries || x.in.Context().Err() != nil || x.body.failed() != nil {
		return false
	}
	var dial *dialError
	if errors.As(err, &dial) {
		return true
	}
	if errors.As(err, new(*begunError)) {
		return false
	}
	return replayable && x.tries == 1 && x.pool.others(x.upstream) && hungUp(err)
}

func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// others says whether the pool has another upstream than u in force.
func (p *pool) others(u *upstream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.routed {
		if other != u && other.known() {
			return true
		}
	}
	return false
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// answered looks at the answer's head.
func (x *exchange) answered(res *http.Response) (*http.Response, error) {
	if res.StatusCode == http.StatusSwitchingProtocols {
		x.answer.switched = res
		return nil, errSwitched
	}
	// That it answered HTTP, not that somebody asked: one stray request must not
	// make a database's clients wait.
	if x.pool.learnt.Load() == unknown {
		x.pool.learnt.CompareAndSwap(unknown, clientFirst)
	}
	if x.pool.heard(x.upstream, res.StatusCode) {
		x.proxy.work.Go(x.proxy.keepSpoken)
	}
	x.answer.x = x
	x.answer.body = res.Body
	res.Body = &x.answer
	if isEvents(res) {
		x.answer.sse = true
		x.answer.ending = newEnding(nothingUnread, x.answer.finish)
		x.answer.opaque = res.Header.Get("Content-Encoding") != ""
		x.answer.between = true
		x.pool.stream(&x.flight)
	}
	return res, nil
}

func isEvents(res *http.Response) bool {
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}
