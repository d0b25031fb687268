package rollout_test

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// What a watch window has let pass ends the rollout at none of the shifts behind it:
// those of later batches, of a canary's stages, and those that move no traffic.
func TestRollout_WhatAWatchWindowForgivesEndsItNoLater(t *testing.T) {
	ratio := func(s *steady.Spec) { s.Update.Watch = &steady.Watch{Errors: -1, Deaths: 0.5} }
	goesOn := func(s *steady.Spec) { s.Update.FailureAction = steady.Continue }
	inBatches := func(s *steady.Spec) { s.Update.Parallelism, s.Update.Order = 2, steady.StartFirst }
	for name, cs := range map[string][]func(*steady.Spec){
		"a later batch":            {ratio, inBatches},
		"a later batch, continue":  {goesOn, inBatches},
		"assets":                   {ratio, func(s *steady.Spec) { s.Assets = []string{"/static/*"} }},
		"a canary's next stage":    {ratio, tried(300*time.Millisecond, 5, 50)},
		"a canary's end, continue": {ratio, goesOn, tried(300*time.Millisecond, 5)},
	} {
		p := newPlace()
		d := boot(t, p)
		shape := func(v string, cs ...func(*steady.Spec)) steady.Spec {
			s := spec("api", v, func(s *steady.Spec) { s.Replicas = 3 })
			for _, c := range cs {
				c(&s)
			}
			return s
		}
		d.deploy(t, p, request(shape("v1")))
		r := d.accept(t, p, request(shape("v2", append(cs, func(s *steady.Spec) { s.Update.Monitor = 300 * time.Millisecond })...)))
		eventually(t, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.begun[r.ID]["api/watch/1"] || p.begun[r.ID]["api/canary/1"]
		})
		p.dies("shop-api-2-1")
		if end := d.await(t, p, r.ID); end.State != steady.RolloutDone {
			t.Errorf("%s: %s, %v", name, end.State, end.Error)
		}
	}
}

// All of them are too many, whatever the file says.
func TestRollout_NoShiftGoesToNobody(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	r := d.accept(t, p, request(spec("api", "v2", func(s *steady.Spec) {
		s.Update.Watch, s.Update.FailureAction = &steady.Watch{Errors: -1, Deaths: 1}, steady.Continue
		s.Assets, s.Update.Monitor = []string{"/static/*"}, 300*time.Millisecond
	})))
	eventually(t, func() bool { return p.route("api") == "2 [shop-api-2-1]" })
	p.dies("shop-api-2-1")
	if end := d.await(t, p, r.ID); end.State == steady.RolloutDone || end.Error == nil {
		t.Errorf("%s, %v", end.State, end.Error)
	}
}
