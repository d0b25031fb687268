package rollout_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// serving makes the proxy measure n requests of the release that serves with every
// look, and bad of release 2's failed.
func (p *place) serving(n, bad int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	flows := map[int]steady.Flow{}
	p.flows = func(service string) map[int]steady.Flow {
		release := p.routes[service].Release
		f := flows[release]
		f.Routed = true
		f.Counts.Requests += n
		f.Counts.Answered += n
		if release == 2 {
			f.Counts.Errors += bad
		}
		f.Minute.Counts = f.Counts
		flows[release] = f
		p.traffic = steady.Traffic{"shop/" + service: {release: f.Counts}}
		out := map[int]steady.Flow{}
		for r, f := range flows {
			f.Routed = r == release
			out[r] = f
		}
		return out
	}
}

func TestRollout_AReleaseThatFailsMoreIsShiftedBackAtOnce(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.serving(100, 10)
	d.deploy(t, p, request(spec("api", "v1")))
	for range 20 { // release 1 serves
		if _, err := p.Flows(t.Context(), "shop", "api"); err != nil {
			t.Fatal(err)
		}
	}
	end := d.deploy(t, p, request(spec("api", "v2", watched(steady.Rollback))))
	if end.State != steady.RolloutRolledBack || !errors.Is(end.Error, steady.ErrWorse) || end.Error.Serving != 1 || end.Error.Release != 2 {
		t.Fatalf("state %s, error %+v", end.State, end.Error)
	}
	for _, want := range []string{"release 2 answered ", " of them with 5xx (10 %; allowed 1 %; release 1: 0 %)", "until all were back at release 1 it had taken "} {
		if !strings.Contains(end.Error.Text, want) {
			t.Errorf("%q lacks %q", end.Error.Text, want)
		}
	}
	if p.called("stop shop-api-1-1") || p.route("api") != "1 [shop-api-1-1]" || !slices.Equal(p.containers(), []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v, route %s", p.containers(), p.route("api"))
	}
}

func TestRollout_AWatchTellsWhatItSaw(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.serving(100, 0)
	d.deploy(t, p, request(spec("api", "v1")))
	r := d.deploy(t, p, request(spec("api", "v2", watched(steady.Rollback), briefly)))
	if r.State != steady.RolloutDone {
		t.Fatalf("state %s, error %+v", r.State, r.Error)
	}
	if said := p.saidOf(r.ID, "api/watch/1"); !strings.HasPrefix(said, "300ms, ") || !strings.Contains(said, "00 requests, 0 errors") {
		t.Errorf("said %q", said)
	}
}

func briefly(s *steady.Spec) { s.Update.Monitor = 300 * time.Millisecond }

func (p *place) saidOf(id int64, step string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events[id] {
		if e.StepID == step && e.Kind == steady.EventStep {
			return e.Text
		}
	}
	return ""
}

func TestRollout_AProxyThatDoesNotAnswerFailsNoWatch(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.fails["flows"] = steady.ErrNoProxy
	if r := d.deploy(t, p, request(spec("api", "v2", watched(steady.Rollback), briefly))); r.State != steady.RolloutDone {
		t.Errorf("state %s, error %+v", r.State, r.Error)
	}
}

func TestRollout_TheFirstReleaseIsNotJudgedByItsTraffic(t *testing.T) {
	p := newPlace()
	p.releases = []steady.Release{{Project: "shop", Service: "other", Number: 1}} // so that the first one is 2
	d := boot(t, p)
	p.serving(100, 100)
	if r := d.deploy(t, p, request(spec("api", "v1", watched(steady.Rollback), briefly))); r.State != steady.RolloutDone || r.Number != 2 {
		t.Errorf("state %s, number %d, error %+v", r.State, r.Number, r.Error)
	}
}

func TestRollout_MaxFailureRatioLetsSoManyReplicasDie(t *testing.T) {
	for deaths, want := range map[int]string{1: steady.RolloutDone, 2: steady.RolloutRolledBack} {
		p := newPlace()
		d := boot(t, p)
		three := func(s *steady.Spec) { s.Replicas, s.Update.Watch = 3, &steady.Watch{Deaths: 0.34} }
		d.deploy(t, p, request(spec("api", "v1", three)))
		r := d.accept(t, p, request(spec("api", "v2", watched(steady.Rollback), three, briefly)))
		eventually(t, func() bool { return strings.HasPrefix(p.route("api"), "2 ") })
		for _, name := range []string{"shop-api-2-1", "shop-api-2-2"}[:deaths] {
			p.dies(name)
		}
		if end := d.await(t, p, r.ID); end.State != want {
			t.Errorf("%d of 3 died: %s, %+v", deaths, end.State, end.Error)
		}
	}
}
