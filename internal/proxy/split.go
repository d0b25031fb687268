package proxy

import (
	"math"
	"math/bits"
	"net/http"
	"net/textproto"
	"strings"

	"gesalpai.ch/steady"
)

// split is a steady.Split made ready.
type split struct {
	steady.Split
	below int // places that are on trial
	apart int // see place
}

// golden spreads releases over the places by the golden ratio.
const golden = steady.Places * 618 / 1000

func newSplit(s *steady.Split) *split {
	if s == nil {
		return nil
	}
	return &split{Split: *s, below: s.Below(), apart: s.Release % steady.Places * golden % steady.Places}
}

// wish is the side of a split that a flight is to get: a release, or below 0 all but
// that release. 0, where nothing is split, is any.
type wish int

func (w wish) has(u *upstream) bool {
	return w == 0 || u.Release == int(w) || w < 0 && u.Release != int(-w)
}

// wish decides which side f gets, and draws a place for one that has none: once,
// whatever f claims later. p.mu is held.
func (p *pool) wish(s *split, f *flight) wish {
	asked, trial := s.asked(f.header)
	if !asked {
		if !f.placed {
			f.place, f.placed, f.drawn = p.draw(), true, true
		}
		trial = f.place < s.below
	}
	if trial {
		return wish(s.Release)
	}
	return wish(-s.Release)
}

// draw gives the next place. The multiples of the golden ratio, modulo one, fill the
// unit as evenly as a sequence can, from wherever it is looked at and however short
// (Weyl; Knuth 6.4): shares follow the weight without counting, within each step.
// p.mu is held.
func (p *pool) draw() int {
	p.draws += 0x9E3779B97F4A7C15
	place, _ := bits.Mul64(p.draws, steady.Places)
	return int(place)
}

// asked says whether a request asks for one of the sides by its header.
func (s *split) asked(h http.Header) (asked, trial bool) {
	if s.Header == "" || h == nil {
		return false, false
	}
	for _, v := range h[s.Header] {
		switch {
		case strings.EqualFold(v, steady.SplitAlways):
			return true, true
		case strings.EqualFold(v, steady.SplitNever):
			return true, false
		}
	}
	return false, false
}

// recallPlace finds the place that the client was told, if any.
//
// The cookie holds a number, and the place lies apart from it by the release on
// trial: else the same clients would be the first at every release. The number says
// nothing of its client, and whoever makes one up has chosen a place, which is no
// more than throwing cookies away until one likes the draw.
func (x *exchange) recallPlace() {
	s := x.pool.split.Load()
	if s == nil || s.Cookie == "" {
		return
	}
	if c, err := x.in.Cookie(s.Cookie); err == nil {
		if n, ok := number(c.Value); ok {
			x.place, x.placed = (n+s.apart)%steady.Places, true
		}
	}
}

// tellPlace tells the client its place where one was drawn for it.
func (x *exchange) tellPlace(h http.Header) {
	if !x.drawn || !x.claimed || x.failed {
		return
	}
	s := x.pool.split.Load()
	if s == nil || s.Cookie == "" {
		return
	}
	n := (x.place - s.apart + steady.Places) % steady.Places
	h.Add("Set-Cookie", x.cookie(s.Cookie, numberText(n), 0).String())
}

// digits is the length of a number in a cookie.
const digits = 4

func numberText(n int) string {
	var out [digits]byte
	for i := digits - 1; i >= 0; i-- {
		out[i] = byte('0' + n%10)
		n /= 10
	}
	return string(out[:])
}

func number(s string) (n int, ok bool) {
	if len(s) != digits {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func checkSplit(p steady.Pool) error {
	s := p.Split
	switch {
	case s == nil:
		return nil
	case s.Release < 1:
		return badTable("pool %s: no release %d is on trial", p.Name, s.Release)
	case math.IsNaN(s.Percent) || s.Percent < 0 || s.Percent > 100:
		return badTable("pool %s: no share is %g percent", p.Name, s.Percent)
	case s.Cookie != "" && !steady.IsCookieName(s.Cookie):
		return badTable("pool %s: no cookie can be named %q", p.Name, s.Cookie)
	case s.Header != textproto.CanonicalMIMEHeaderKey(s.Header):
		return badTable("pool %s: the header %q is not in its canonical form", p.Name, s.Header)
	}
	return nil
}
