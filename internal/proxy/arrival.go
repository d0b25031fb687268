package proxy

import (
	"net/netip"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// behind is what a table puts behind a door: a pool, or by the address and port
// that the client meant one of many.
type behind struct {
	protocol string
	pool     *pool
	arrivals map[netip.Addr]*template // not nil for a holder's listener
	nobody   *counter                 // of what came to an address that has been left
	rules    *rules                   // not nil where the pool is chosen by host and path
	tls      bool
}

// behind makes what a table says of a listener's. The pools are there already.
// p.mu is held.
func (p *Proxy) behind(l steady.Listener) *behind {
	b := &behind{protocol: l.Protocol}
	if len(l.Rules) > 0 {
		b.rules, b.tls = p.rules(l.Rules), l.TLS
		return b
	}
	if l.Holder == "" {
		b.pool = p.pools[l.Pool].(*pool)
		b.nobody = b.pool.nobody
		return b
	}
	b.nobody = p.counts.of(l.Holder, 0)
	b.arrivals = make(map[netip.Addr]*template, len(l.Arrivals))
	for addr, name := range l.Arrivals {
		b.arrivals[netip.MustParseAddr(addr).Unmap()] = p.pools[name].(*template) // as check has seen
	}
	return b
}

// take gives the pool for what came to an address, to be released; nil where
// nothing that comes there is served. What came to one network's address never
// goes to another's upstreams.
func (b *behind) take(meant netip.AddrPort) *pool {
	if b.arrivals == nil {
		return b.pool
	}
	t := b.arrivals[meant.Addr()]
	if t == nil {
		return nil
	}
	return t.take(meant.Port())
}

// arrive finds out where the client meant to go. False: it came where nothing is
// served.
func (c *clientConn) arrive() bool {
	b := c.door.behind.Load()
	if b.arrivals == nil {
		return true
	}
	meant, err := listen.OriginalDst(c.TCPConn)
	if err != nil {
		return false
	}
	c.meant = netip.AddrPortFrom(meant.Addr().Unmap(), meant.Port())
	return b.arrivals[c.meant.Addr()] != nil
}

// turnAway resets the connection, as the kernel does where nobody listens.
func (c *clientConn) turnAway() {
	reset(c.TCPConn)
	c.Close()
}
