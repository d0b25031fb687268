package proxy

import (
	"net/http"
	"strings"

	"gesalpai.ch/steady"
)

// sign is the upstream's value of the cookie that keeps clients at it.
func (u *upstream) sign() string {
	u.signing.Do(func() { u.signed = steady.StickyToken(u.ID) })
	return u.signed
}

// wanted finds the upstream in force that a cookie names, unless it cannot be
// reached just now. p.mu is held.
func (p *pool) wanted(sign string, avoid *upstream) *upstream {
	for _, u := range p.routed {
		if u != avoid && !u.failing() && u.sign() == sign {
			return u
		}
	}
	return nil
}

// remember notes which upstream the client was kept at, if any.
func (x *exchange) remember() {
	s := x.pool.sticky.Load()
	if s == nil {
		return
	}
	if c, err := x.in.Cookie(s.Cookie); err == nil {
		x.sign = c.Value
	}
}

// stick tells the client which upstream it is kept at from now on, where it does
// not know.
func (x *exchange) stick(h http.Header) {
	if x.pool == nil || !x.claimed || x.failed {
		return
	}
	s := x.pool.sticky.Load()
	if s == nil || x.sign == x.upstream.sign() {
		return
	}
	c := http.Cookie{
		Name: s.Cookie, Value: x.upstream.sign(), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: x.in.TLS != nil || strings.EqualFold(x.in.Header.Get("X-Forwarded-Proto"), "https"),
		MaxAge: int(s.TTL.Seconds()),
	}
	h.Add("Set-Cookie", c.String())
}
