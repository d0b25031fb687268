package proxy

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
)

// Causes for which the proxy itself ends what is in flight.
var (
	errCut      = errors.New("cut: the drain's clock ran out")
	errEnded    = errors.New("ended: the drain's clock ran out")
	errSwitched = errors.New("upstream switched protocols") // never leaves the package
)

// retryAfter is what a 503 of ours asks of clients, in seconds.
const retryAfter = "1"

// exchange is one HTTP request and its answer. To net/http's ReverseProxy it is
// the transport, and the writer of the answer.
type exchange struct {
	flight
	http.ResponseWriter
	proxy  *Proxy
	door   *door
	pool   *pool
	in     *http.Request
	cancel context.CancelCauseFunc
	body   *clientBody // nil where the request has none
	answer answer
	rproxy httputil.ReverseProxy
	aside  *aside // nil: no elder was asked

	http2    bool     // to the upstream
	upgrades []string // protocols that the app may switch to
	came2    bool     // by HTTP/2 without TLS: it goes on so where the upstream takes it
	tries    int
	given    bool      // to a transport, which may still read the body
	hurried  time.Time // when the write deadline was set
	status   int       // of the answer's head; 0 while none was written
	claimed  bool
	finished atomic.Bool
	broken   error // the answer broke off: reading it from the upstream failed
	unsent   error // the client did not take the answer
	failed   bool  // we answered in the app's place
	gaveUp   bool  // because of the client
	isCut    atomic.Bool

	id           [1]string // X-Request-Id, as a header has it
	began        time.Time // when its head had been read
	claimedAfter time.Duration
	firstAfter   time.Duration // until the answer's head
	sent         int64         // bytes of the answer's body
	outcome      string
}

// ServeHTTP passes one request to an upstream of its listener's pool.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	p.work.Add(1)
	defer p.work.Done()
	c := in.Context().Value(connKey{}).(*clientConn)
	b := c.door.behind.Load()
	x := &exchange{ResponseWriter: w, proxy: p, door: c.door, in: in, began: time.Now()}
	x.id[0] = requestID(in)
	defer x.over()
	if status := checkRequest(in); status != 0 {
		x.outcome = outcomeTold
		x.last()
		x.tell(status)
		return
	}
	switch {
	case b.rules != nil:
		if !x.choose(b.rules) {
			x.outcome = outcomeTold
			return
		}
	default:
		x.pool, x.http2, x.came2 = b.take(c.meant), b.protocol == steady.H2C, in.ProtoMajor == 2
	}
	if x.pool == nil {
		x.refuseUncalled(b.nobody)
		return
	}
	defer x.pool.release()
	x.flight.ender, x.flight.from, x.flight.header = x, c.far(in), in.Header
	x.remember()
	ctx, cancel := context.WithCancelCause(in.Context())
	defer cancel(nil)
	x.cancel = cancel
	x.in = in.WithContext(ctx)
	if x.keptOut() || !x.takeBody() || !x.enter() {
		return
	}
	x.stamp(&x.claimedAfter)
	aborted := true
	defer func() { x.hearRest(aborted) }() // when nothing is in flight any more
	defer func() { x.finish(aborted) }()
	defer func() {
		if aborted {
			x.passBroken()
		}
	}()
	x.rproxy = httputil.ReverseProxy{
		Transport: x, Rewrite: x.rewrite, ErrorHandler: x.fail,
		BufferPool: &p.buffers, ErrorLog: quiet,
	}
	x.rproxy.ServeHTTP(x, x.in)
	if in.ProtoMajor == 3 && x.status > 0 && (x.broken != nil || x.unsent != nil) {
		panic(http.ErrAbortHandler) // as ReverseProxy does where net/http is the server; else the answer would look whole
	}
	aborted = false
}

// stamp notes how long it took until now, where somebody will want to know.
func (x *exchange) stamp(after *time.Duration) {
	if x.proxy.access != nil {
		*after = time.Since(x.began)
	}
}

// refuseUncalled refuses a request for which there is no upstream.
func (x *exchange) refuseUncalled(nobody *counter) {
	nobody.requests.Add(1)
	nobody.lost.Add(1)
	x.outcome = outcomeLost
	x.refuse(http.StatusServiceUnavailable)
}

// over is the very end. What never came to a claim, for its client broke off or
// broke the rules while it sent the body, is counted here.
func (x *exchange) over() {
	if x.outcome == "" {
		x.outcome = outcomeLeft
		x.pool.nobody.requests.Add(1)
		x.pool.nobody.left.Add(1)
	}
	if x.proxy.access != nil {
		x.proxy.access.add(x)
	}
}

// claim claims an upstream, another than avoid where there is one, and moves the
// request to its count. The error is enter's.
func (x *exchange) claim(avoid *upstream) (*upstream, error) {
	u, err := x.pool.enter(x.in.Context(), &x.flight, avoid, x)
	if errors.Is(err, errUnlisted) {
		if err = nil; x.follow() { // and its notice has to be looked at
			return nil, errAnew
		}
	}
	x.claimed = u != nil
	if u != nil {
		u.count.requests.Add(1)
	}
	return u, err
}

// unclaim takes back a claim that came to nothing, to claim anew.
func (x *exchange) unclaim() {
	x.upstream.count.requests.Add(-1)
	x.claimed = false
	x.pool.leave(&x.flight)
}

// finish leaves the upstream and counts how it went.
func (x *exchange) finish(aborted bool) {
	x.finished.Store(true)
	defer x.aside.over()
	if !x.claimed { // the last claim found no upstream any more
		x.outcome = cmp.Or(x.outcome, outcomeLost)
		return
	}
	count := x.upstream.count
	switch {
	case x.kind == stream: // its head was the answer; how it ended, leave counts
		x.outcome = outcomeAnswered
		count.answered.Add(1)
		count.class(x.status)
	case x.isCut.Load() && (aborted || x.failed):
		x.outcome = outcomeCut
		count.lost.Add(1)
		count.cut.Add(1)
	case x.gaveUp, aborted && x.left():
		x.outcome = outcomeLeft
		count.left.Add(1)
	case x.failed, aborted:
		x.outcome = outcomeLost
		count.lost.Add(1)
	default:
		x.outcome = outcomeAnswered
		count.answered.Add(1)
		count.answer(x.status, time.Since(x.began))
		if x.status >= http.StatusInternalServerError {
			count.errors.Add(1)
		}
	}
	x.pool.leave(&x.flight)
}

// left says whether it is the client that gave up.
func (x *exchange) left() bool {
	if x.unsent != nil {
		return true
	}
	return x.broken == nil && x.in.Context().Err() != nil || errors.Is(x.broken, context.Canceled)
}

// fail answers where the app did not. ReverseProxy calls it with what RoundTrip
// returned.
func (x *exchange) fail(_ http.ResponseWriter, out *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errSwitched):
		x.tunnel()
		return
	case x.isCut.Load():
		x.failed = true
		if n := x.pool.notice.Load(); n != nil {
			x.show(n)
			return
		}
		x.refuse(http.StatusServiceUnavailable)
		return
	case errors.Is(err, errMalformed):
		x.gaveUp = true
		x.refuse(http.StatusBadRequest)
		return
	case errors.As(err, &tooLarge):
		x.gaveUp = true
		x.refuse(http.StatusRequestEntityTooLarge)
		return
	case x.body.late():
		x.gaveUp = true
		x.refuse(http.StatusRequestTimeout)
		return
	case x.body.failed() != nil, x.in.Context().Err() != nil:
		x.gaveUp = true
		panic(http.ErrAbortHandler) // nobody reads an answer
	}
	x.failed = true
	if n := x.pool.sayLost(); n > 0 {
		x.proxy.log.Warn("requests lost", "service", x.pool.service, "replica", x.upstream.Name,
			"release", x.upstream.Release, "method", out.Method, "err", err, "since_last", n)
	}
	if !x.claimed {
		x.refuse(http.StatusServiceUnavailable)
		return
	}
	x.refuse(http.StatusBadGateway)
}

// refuse is an answer of our own.
func (x *exchange) refuse(status int) {
	h, body := x.Header(), http.StatusText(status)+"\n"
	clear(h)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	if status != http.StatusBadGateway {
		x.last()
	}
	x.WriteHeader(status)
	_, _ = io.WriteString(x, body)
	if status != http.StatusRequestEntityTooLarge && status != http.StatusRequestTimeout {
		x.hearOut()
	}
}

// WriteHeader passes the answer's head on. A lame duck says with every answer
// that the connection ends.
func (x *exchange) WriteHeader(status int) {
	if status == http.StatusContinue {
		return // net/http says it when the body is read, which the upstream's 100 sets off
	}
	if status >= http.StatusOK {
		x.status = status
		x.stamp(&x.firstAfter)
		h := x.Header()
		if _, ok := h["Content-Type"]; !ok {
			h["Content-Type"] = nil // keeps net/http from guessing one
		}
		x.stick(h)
		x.tellPlace(h)
		if x.door.gone.Load() || x.proxy.lame.Load() {
			x.last()
		} else if q := x.door.quic.Load(); q != nil && h["Alt-Svc"] == nil {
			h.Set("Alt-Svc", q.AltSvc())
		}
	}
	x.hurry()
	x.ResponseWriter.WriteHeader(status)
}

// last says that the connection ends with this answer. HTTP/3 has no such header:
// its GOAWAY is sent by listen.QUIC.
func (x *exchange) last() {
	if x.in.ProtoMajor < 3 {
		x.Header().Set("Connection", "close")
	}
}

// hurry gives the client WriteIdle from now to take what is written next. Each
// answer sets it anew, so one of a former answer does no harm.
//
// HTTP/2 and HTTP/3 streams get none: one that has passed resets a stream that waits for the
// app. The connection has its own, Server.HTTP2.
func (x *exchange) hurry() {
	if x.in.ProtoMajor >= 2 {
		return
	}
	now := time.Now()
	if now.Sub(x.hurried) < x.proxy.limits.WriteIdle/60 || x.isCut.Load() {
		return
	}
	x.hurried = now
	if w, ok := x.ResponseWriter.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = w.SetWriteDeadline(now.Add(x.proxy.limits.WriteIdle))
	}
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 { // who answers a challenge writes at once
		x.WriteHeader(http.StatusOK)
	}
	x.hurry()
	n, err := x.ResponseWriter.Write(b)
	x.sent += int64(n)
	if err != nil {
		x.unsent = err
	}
	return n, err
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// cut breaks the exchange off. The deadline is for an answer that blocks in a
// client that does not read; it leaves time for the 503 of one not begun.
func (x *exchange) cut() {
	x.isCut.Store(true)
	x.cancel(errCut)
	rc := http.NewResponseController(x.ResponseWriter)
	_ = rc.SetWriteDeadline(time.Now().Add(time.Second))
	_ = rc.SetReadDeadline(time.Now())
	if t := x.answer.tunnel.Load(); t != nil {
		t.cut()
	}
}

func (x *exchange) end(patience time.Duration) {
	if t := x.answer.tunnel.Load(); t != nil {
		t.end(patience)
		return
	}
	x.answer.end(patience)
}

func (x *exchange) peer() string { return host(x.in.RemoteAddr) }

func (x *exchange) how() int {
	if t := x.answer.tunnel.Load(); t != nil {
		return t.how()
	}
	return x.answer.how()
}
