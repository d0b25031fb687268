package proxy

import (
	"net/http"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// sign is the upstream's value of the cookie that keeps clients at it.
func (u *upstream) sign() string {
	u.signing.Do(func() { u.signed = steady.StickyToken(u.ID) })
	return u.signed
}

// Services of one host share a cookie's name: browsers tell cookies apart by neither
// port nor, with Path=/, path. So its value holds a sign for each, the newest first.
const (
	mostSigns = 8
	signSize  = 16 // of steady.StickyToken
)

// wanted finds the upstream in force that a cookie names, unless it cannot be
// reached just now, or is not of the release that the client gets. p.mu is held.
func (p *pool) wanted(signs string, avoid *upstream, w wish) *upstream {
	for sign := range strings.SplitSeq(signs, ".") {
		for _, u := range p.routed {
			if u != avoid && w.has(u) && u.known() && !u.failing() && u.sign() == sign {
				return u
			}
		}
	}
	return nil
}

// signed puts a sign before those that a cookie had.
func signed(sign, before string) string {
	out, n := sign, 1
	for other := range strings.SplitSeq(before, ".") {
		if n < mostSigns && len(other) == signSize && other != sign {
			out += "." + other
			n++
		}
	}
	return out
}

// remember notes which upstream the client was kept at, if any.
func (x *exchange) remember() {
	s := x.pool.sticky.Load()
	if s == nil {
		return
	}
	if c, err := x.in.Cookie(s.Cookie); err == nil {
		x.sign = c.Value[:min(len(c.Value), mostSigns*(signSize+1)-1)]
	}
}

// stick tells the client which upstream it is kept at from now on, where it does
// not know.
func (x *exchange) stick(h http.Header) {
	if x.pool == nil || !x.claimed || x.failed {
		return
	}
	s := x.pool.sticky.Load()
	if s == nil || x.kept {
		return
	}
	h.Add("Set-Cookie", x.cookie(s.Cookie, signed(x.upstream.sign(), x.sign), s.TTL).String())
}

// cookie is one of ours; without a ttl it lasts until the browser ends.
func (x *exchange) cookie(name, value string, ttl time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: x.in.TLS != nil || strings.EqualFold(x.in.Header.Get("X-Forwarded-Proto"), "https"),
		MaxAge: int(ttl.Seconds()),
	}
}
