package rollout_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gesalpai.ch/steady"
)

func held(s *steady.Spec) { s.State = []string{"data"} }

func TestRollout_AReleaseThatNobodyCanReachIsNotPutInForce(t *testing.T) {
	for name, how := range map[string]func(*steady.Spec){"beside the old one": func(*steady.Spec) {}, "held": held} {
		p := newPlace()
		d := boot(t, p)
		d.deploy(t, p, request(spec("api", "v1", how)))
		p.deaf["shop-api-2-1 port 8000"] = "it listens on 127.0.0.1:8000 only"
		end := d.deploy(t, p, request(spec("api", "v2", how)))
		if end.State != steady.RolloutFailed || !errors.Is(end.Error, steady.ErrUnreachable) || end.Error.Serving != 1 {
			t.Errorf("%s: %s, %+v", name, end.State, end.Error)
		}
		if p.route("api") != "1 [shop-api-1-1]" || !slices.Equal(p.containers(), []string{"shop-api-1-1+", "shop-api-steady+"}) && !slices.Equal(p.containers(), []string{"shop-api-1-1+"}) {
			t.Errorf("%s: route %s, containers %v", name, p.route("api"), p.containers())
		}
		if slices.Contains(p.held, "[shop-api-2-1]") {
			t.Errorf("%s: it was shifted to: %v", name, p.held)
		}
	}
}

func TestRollout_AFirstReleaseThatAcceptsNowhereFails(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.deaf["shop-api-1-1 port 8000"] = "nothing listens on 8000"
	if end := d.deploy(t, p, request(spec("api", "v1"))); end.State != steady.RolloutFailed || !errors.Is(end.Error, steady.ErrUnreachable) {
		t.Errorf("%s, %+v", end.State, end.Error)
	}
}

func TestRollout_APortThatNobodyListenedOnBeforeIsAWarning(t *testing.T) {
	two := func(s *steady.Spec) {
		s.Ports = append(s.Ports, steady.Port{Published: 9229, Target: 9229, Transport: "tcp"})
	}
	p := newPlace()
	d := boot(t, p)
	for _, name := range []string{"shop-api-1-1", "shop-api-2-1"} {
		p.deaf[name+" port 9229"] = "nothing listens on 9229"
	}
	for version := range 2 {
		end := d.deploy(t, p, request(spec("api", "v"+string(rune('1'+version)), two)))
		warned := slices.ContainsFunc(p.events[end.ID], func(e steady.Event) bool { return e.Warning == "port 9229: nothing listens on 9229" })
		if end.State != steady.RolloutDone || !warned {
			t.Errorf("release %d: %s, %+v, warned %t", version+1, end.State, end.Error, warned)
		}
	}
	p.deaf["shop-api-3-1 port 8000"] = "nothing listens on 8000"
	if end := d.deploy(t, p, request(spec("api", "v3", two))); end.State != steady.RolloutFailed {
		t.Errorf("without the port that is used: %s", end.State)
	}
	if got := needsOf(p.wanted); got != "port 8000 hoped, port 9229 hoped; port 8000 must, port 9229; port 8000 must, port 9229" {
		t.Errorf("asked for %s", got)
	}
}

func needsOf(all []steady.Reach) string {
	var out []string
	for _, r := range all {
		var ways []string
		for _, w := range r.Ways {
			ways = append(ways, strings.TrimSpace(w.Name+" "+w.Need))
		}
		out = append(out, strings.Join(ways, ", "))
	}
	return strings.Join(out, "; ")
}

func TestRollout_APortThatClosesInTheWatchWindowShiftsBack(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	r := d.accept(t, p, request(spec("api", "v2", watched(steady.Rollback))))
	eventually(t, func() bool { return strings.HasPrefix(p.route("api"), "2 ") })
	p.mu.Lock()
	p.deaf["shop-api-2-1 port 8000"] = "nothing listens on 8000"
	p.mu.Unlock()
	end := d.await(t, p, r.ID)
	if end.State != steady.RolloutRolledBack || !errors.Is(end.Error, steady.ErrUnreachable) || p.route("api") != "1 [shop-api-1-1]" {
		t.Errorf("%s, %+v, %s", end.State, end.Error, p.route("api"))
	}
}

func TestRollout_APortThatClosesBetweenProbeAndShiftFails(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1"), spec("db", "v1", without)))
	gate := make(chan struct{})
	p.blocked["shop-db-2-1"] = gate
	r := d.accept(t, p, request(spec("api", "v2"), spec("db", "v2", without)))
	eventually(t, func() bool { return p.called("reach shop-api-2-1") })
	p.mu.Lock()
	p.deaf["shop-api-2-1 port 8000"] = "nothing listens on 8000"
	p.mu.Unlock()
	close(gate)
	end := d.await(t, p, r.ID)
	if end.State != steady.RolloutFailed || !errors.Is(end.Error, steady.ErrUnreachable) || p.route("api") != "1 [shop-api-1-1]" {
		t.Errorf("%s, %+v, %s", end.State, end.Error, p.route("api"))
	}
}

func without(s *steady.Spec) { s.Ports = nil }
