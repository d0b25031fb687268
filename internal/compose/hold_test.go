package compose_test

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestXSteady_HoldBoundsAreTheServicesThenTheProjects(t *testing.T) {
	p := loadText(t, `
x-steady: {hold: {for: 5s}}
services:
  top: {image: x}
  off: {image: x, x-steady: {hold: off}}
  own: {image: x, x-steady: {strategy: hold, hold: {requests: 20, bytes: 1MiB}}}
`)
	want := map[string]*steady.Hold{
		"top": {Most: 1000, Bytes: 64 << 20, For: 5 * time.Second, Lease: steady.HoldLease},
		"off": nil,
		"own": {Most: 20, Bytes: 1 << 20, For: 5 * time.Second, Lease: steady.HoldLease},
	}
	for _, s := range p.Specs {
		got, w := s.Gate(), want[s.Service]
		if (got == nil) != (w == nil) || got != nil && *got != *w {
			t.Errorf("%s: %+v, want %+v", s.Service, got, w)
		}
		if (s.Update.Order == steady.StrategyHold) != (s.Service == "own") {
			t.Errorf("%s: strategy %q", s.Service, s.Update.Order)
		}
	}
	s := loadText(t, one).Specs[0]
	if g := s.Gate(); s.Holding != nil || g == nil || g.For != steady.DefaultHoldFor || g.Most != steady.DefaultHoldRequests || g.Bytes != steady.DefaultHoldBytes {
		t.Errorf("where the file is silent: %+v", g)
	}
}

func TestXSteady_RefusesAHoldThatIsNone(t *testing.T) {
	for x, want := range map[string]string{
		"hold: maybe":          "hold: maybe is neither on nor off",
		"hold: {for: 0s}":      "hold.for: 0s is no time at all",
		"hold: {requests: 0}":  "hold.requests: 0 is no number",
		"hold: {bytes: 64}":    "hold.bytes: 64 is no size such as 64MiB",
		"hold: {bytes: '64'}":  "is no size",
		"hold: {bytes: large}": "is no size",
	} {
		refuses(t, "services: {web: {image: x, x-steady: {"+x+"}}}", want)
	}
}
