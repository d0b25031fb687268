package compose_test

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestXSteady_StickyIsOffUnlessAskedFor(t *testing.T) {
	p := loadText(t, `
x-steady: {sticky: {ttl: 1h}}
services:
  top: {image: x}
  off: {image: x, x-steady: {sticky: false}}
  own: {image: x, x-steady: {sticky: {cookie: at}}}
  plain: {image: x, x-steady: {sticky: true}}
`)
	want := map[string]*steady.Sticky{
		"top":   {Cookie: "steady", TTL: time.Hour},
		"off":   nil,
		"own":   {Cookie: "at", TTL: time.Hour},
		"plain": {Cookie: "steady", TTL: time.Hour},
	}
	for _, s := range p.Specs {
		if !steady.Equal(s.Sticky, want[s.Service]) {
			t.Errorf("%s: %+v, want %+v", s.Service, s.Sticky, want[s.Service])
		}
	}
	for _, s := range loadText(t, one).Specs {
		if s.Sticky != nil {
			t.Errorf("%s is sticky", s.Service)
		}
	}
}

func TestXSteady_StickyIsPartOfTheDigest(t *testing.T) {
	text := func(x string) string { return "services: {web: {image: x, x-steady: {" + x + "}}}" }
	seen := map[string]string{}
	for _, x := range []string{"", "sticky: true", "sticky: {cookie: at}", "sticky: {ttl: 1m}"} {
		d := loadText(t, text(x)).Specs[0].Digest()
		if other, twice := seen[d]; twice {
			t.Errorf("%q has the digest of %q", x, other)
		}
		seen[d] = x
	}
}

func TestXSteady_RefusesAStickinessThatIsNone(t *testing.T) {
	for x, want := range map[string]string{
		"sticky: maybe":              "sticky: maybe is neither true nor false",
		"sticky: {cookie: a b}":      "sticky.cookie: a b is no name for a cookie",
		"sticky: {cookie: __Host-a}": "is no name for a cookie",
		"sticky: {ttl: soon}":        "sticky.ttl: soon is no duration",
		"sticky: {name: a}":          "sticky.name: unknown key",
	} {
		refuses(t, "services: {web: {image: x, x-steady: {"+x+"}}}", want)
	}
}
