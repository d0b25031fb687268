package proxy

import "gesalpai.ch/steady"

// follow has the request go to the pool that its listener leads to by now, as no table
// lists the pool that it came for. False: the listener leads to no other.
func (x *exchange) follow() bool {
	b := x.door.behind.Load()
	to, http2, came2 := b.pool, b.protocol == steady.H2C, x.in.ProtoMajor == 2
	switch {
	case b.rules != nil:
		r := b.rules.find(hostOf(x.in), x.in.URL.Path)
		if r == nil {
			return false
		}
		to, http2, came2 = r.pool, r.Protocol == steady.H2C, false
	case b.arrivals != nil: // a holder's listener leaves with its service
		return false
	}
	if to == nil || to == x.pool {
		return false
	}
	x.pool, x.http2, x.came2, x.sign = to, http2, came2, ""
	x.remember()
	return true
}

// moved says whether the listener by which the connection came leads to another pool by
// now.
func (c *clientConn) moved(from *pool) bool {
	b := c.door.behind.Load()
	return b.rules != nil || b.arrivals == nil && b.pool != from
}
