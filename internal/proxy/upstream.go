package proxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// Figures of the way to an upstream; zero-loss.md has the measurements.
const (
	dialTimeout = 3 * time.Second
	// idleReplayable is how long a connection may have been idle for a request
	// that can be sent again. gunicorn closes at 2 s, uvicorn and Node at 5 s.
	idleReplayable = time.Second
	// idleOnce is the same for a request that cannot: it must not meet the
	// upstream's own close.
	idleOnce = 450 * time.Millisecond
	// avoidFor is how long an upstream that could not be dialled is chosen only
	// where there is no other. Else least_conn would prefer it: it fails fast.
	avoidFor = time.Second
	// maxResponseHead is how large an upstream's answer's head may be.
	maxResponseHead = 1 << 20
)

// upstream is one address of one container, with connections of its own. Two
// tables that list it share it; it lives on after the last until nothing of it
// is in flight.
type upstream struct {
	steady.Upstream
	pool  *pool
	count *counter
	who   *identity // nil: nothing says whose the address is
	host  netip.Addr

	lines     lines           // for requests whole in hand
	transport *http.Transport // for uploads and upgrades
	http2     *http.Transport // for those that it is to have by HTTP/2 without TLS
	prior     prior

	signing sync.Once
	signed  string // see sign

	// Guarded by pool.mu.
	routed   bool
	elder    bool // asked for assets
	flights  flights
	failedAt time.Time // last dial that failed; zero after one that did not
	tallies  []*tally  // drains that watch
}

func newUpstream(p *pool, u steady.Upstream, count *counter, who *identity) *upstream {
	out := &upstream{Upstream: u, pool: p, count: count, who: who}
	if at, err := netip.ParseAddrPort(u.Addr); err == nil {
		out.host = at.Addr()
	}
	out.transport = newTransport(out.dial, idleOnce)
	out.http2 = newTransport(out.dial, idleReplayable)
	out.http2.Protocols = new(http.Protocols)
	out.http2.Protocols.SetUnencryptedHTTP2(true)
	return out
}

func newTransport(dial func(context.Context, string, string) (net.Conn, error), idle time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		DisableCompression:     true,
		MaxIdleConns:           0,
		MaxIdleConnsPerHost:    4096,
		IdleConnTimeout:        idle,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHead,
	}
}

// dialError is a connection that was never there, so nothing was sent on it.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dial connects to the upstream's container, or to nobody: an address that is
// another's by now is an error, before a byte has been sent.
func (u *upstream) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, network, u.Addr)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if u.who != nil {
		if stranger := u.who.has(u.host); stranger != nil && err == nil {
			_ = c.Close()
			err = stranger
		}
	}
	u.pool.dialled(u, err)
	if err != nil {
		return nil, &dialError{fmt.Errorf("dial %s: %w", u.Name, err)}
	}
	return c, nil
}

func (u *upstream) closeIdle() {
	u.lines.closeAll()
	u.transport.CloseIdleConnections()
	u.http2.CloseIdleConnections()
}
