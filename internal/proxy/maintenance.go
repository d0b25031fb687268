package proxy

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// notice is a maintenance made ready: what is said, and to whom not.
type notice struct {
	steady.Maintenance
	html, json []byte
	retryAfter string
}

func newNotice(m steady.Maintenance) *notice {
	seconds := (m.RetryAfter + time.Second - 1) / time.Second
	return &notice{
		Maintenance: m, html: pageOf(m), json: jsonOf(m, int64(seconds)), retryAfter: strconv.FormatInt(int64(seconds), 10),
	}
}

// maintain puts the table's maintenances in force. One that says the same as
// before stays the same one. p.mu is held.
func (p *Proxy) maintain(t steady.Table) {
	made := make(map[string]*notice, len(t.Maintenance))
	for _, m := range t.Maintenance {
		n := p.notices[m.Ref()]
		if n == nil || !reflect.DeepEqual(n.Maintenance, m) {
			n = newNotice(m)
		}
		made[m.Ref()] = n
	}
	p.notices = made
	for _, s := range t.Pools {
		if pool, ok := p.pools[s.Name].(*pool); ok {
			pool.sticky.Store(s.Sticky)
			pool.shut(made[s.Maintenance])
		}
	}
}

// shut puts a notice in force, nil to open. Once it has returned, nothing is
// claimed that n does not let through: who claimed before is marked, or asks again.
func (p *pool) shut(n *notice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.notice.Load()
	if was == n {
		return
	}
	p.notice.Store(n)
	p.gate.anew(p)
	if n == nil {
		close(p.opened)
		return
	}
	if was == nil {
		p.opened = make(chan struct{})
	}
	for _, u := range p.known {
		for _, f := range u.flights.of(question) {
			f.wasCut = true
			f.cut()
		}
		for _, f := range slices.Concat(u.flights.of(request), u.flights.of(stream)) {
			f.marked = !n.admits(f.visitor(), f.header)
		}
	}
}

// visitor is the address of who is at the other end; the zero one where nobody is.
func (f *flight) visitor() netip.Addr {
	if f.from == nil {
		return netip.Addr{}
	}
	return addrOf(f.from.RemoteAddr())
}

func addrOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// admits says whether a request is let through: by its client's address, or by a
// header. Every header of the list is compared, each in constant time, so that
// the time taken tells nothing of the values.
func (n *notice) admits(peer netip.Addr, h http.Header) bool {
	known := 0
	for _, allowed := range n.AllowHeaders {
		for _, value := range h[allowed.Name] {
			known |= subtle.ConstantTimeCompare([]byte(steady.SumHeader(value)), []byte(allowed.Sum))
		}
	}
	return known == 1 || contains(n.Allow, n.client(peer, h))
}

// client is the address of whoever asks. What a peer says in X-Forwarded-For is
// believed only of a loopback or trusted one; each hop has appended the address it
// saw, so the last one that is none of ours is the client's, and what stands
// before it may be a lie.
func (n *notice) client(peer netip.Addr, h http.Header) netip.Addr {
	at := peer
	hops := strings.Split(strings.Join(h["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && n.trusts(at); i-- {
		hop := strings.TrimSpace(hops[i])
		if hop == "" {
			continue
		}
		a, err := netip.ParseAddr(hop)
		if err != nil { // "unknown", or a name: nobody that could be let through
			return netip.Addr{}
		}
		at = a.Unmap().WithZone("")
	}
	return at
}

func (n *notice) trusts(a netip.Addr) bool { return a.IsLoopback() || contains(n.Trust, a) }

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// enter claims an upstream for the request, unless a maintenance keeps it out. A
// notice that came between the look at it and the claim is looked at again.
func (x *exchange) enter() bool {
	for {
		n := x.pool.notice.Load()
		if n != nil && !n.admits(x.visitor(), x.in.Header) {
			x.pool.forsake(&x.flight)
			x.turnAway(n)
			return false
		}
		x.marked = false
		u, err := x.claim(nil)
		switch {
		case errors.Is(err, errAnew):
			continue
		case errors.Is(err, errLeft):
			panic(http.ErrAbortHandler) // nobody reads an answer
		case err != nil:
			x.turnOff()
			return false
		case u == nil:
			x.refuseUncalled(x.pool.nobody)
			return false
		case x.pool.notice.Load() == n:
			return true
		}
		x.unclaim()
	}
}

// keptOut turns the request away where a maintenance says so. It comes before the
// body is touched: net/http then reads one of up to 256 KiB before it answers, and
// ends the connection in order where there is more.
func (x *exchange) keptOut() bool {
	n := x.pool.notice.Load()
	if n == nil || n.admits(x.visitor(), x.in.Header) {
		return false
	}
	x.turnAway(n)
	return true
}

// turnAway answers with the notice, and counts it.
func (x *exchange) turnAway(n *notice) {
	x.pool.nobody.maintained.Add(1)
	x.outcome = outcomeShut
	x.show(n)
}

// show answers with the notice. The connection stays, as after any answer, but
// where a body is under way that we have asked net/http to leave to us.
func (x *exchange) show(n *notice) {
	h := x.Header()
	clear(h)
	body, kind := n.html, "text/html; charset=utf-8"
	if prefersJSON(x.in.Header["Accept"]) {
		body, kind = n.json, "application/json"
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Retry-After", n.retryAfter)
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept")
	if x.body != nil && !x.body.known {
		x.last()
	}
	x.WriteHeader(http.StatusServiceUnavailable)
	_, _ = x.Write(body)
	x.hearOut()
}

// keepsOut says whether a connection must not be passed on as such: there is a
// maintenance, and its peer is not let through by its address.
func (p *pool) keepsOut(c net.Conn) bool {
	n := p.notice.Load()
	return n != nil && !n.admits(addrOf(c.RemoteAddr()), nil)
}

// hearOut takes a connection during a maintenance. What speaks HTTP gets its
// answer from net/http, request by request; all else is closed, as there is no
// way to say why. A client that says nothing is waited for.
func (p *Proxy) hearOut(c *clientConn, pool *pool, protocol string) {
	known := protocol == steady.HTTP || protocol == steady.H2C || pool.http.Load()
	serverSpeaks := protocol == steady.Auto && pool.learnt.Load() == serverFirst && !known
	kind, err := speaksOther, error(nil)
	if protocol != steady.TCP && !serverSpeaks {
		kind, err = c.listen(p.peekTimes(known))
	}
	switch {
	case err == nil && (!relays(kind) || known):
		p.handHTTP(c)
	default:
		pool.nobody.maintained.Add(1)
		c.Close()
	}
}
