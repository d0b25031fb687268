package rollout_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// pausing asks that a failure leave what stands, after a watch window.
func pausing(s *steady.Spec) { s.Update.FailureAction, s.Update.Monitor = steady.Pause, time.Hour }

func database(s *steady.Spec) { s.Ports[0].Published, s.State = 5432, []string{"data"} }

// What is between its old replica and its new one when another service fails is
// served by nobody: a rollout is not left standing there.
func TestRollout_PausesNoServiceWhileNobodyServesAnother(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1"), spec("db", "v1", database)))
	p.mu.Lock()
	p.blocked["shop-db-2-1"] = make(chan struct{}) // its probe takes as long as it likes
	p.mu.Unlock()
	first := func(s *steady.Spec) { s.Update.Order = steady.StopFirst }
	r := d.accept(t, p, request(spec("api", "v2", pausing, first), spec("db", "v2", database)))
	eventually(t, func() bool { return p.route("api") == "2 [shop-api-2-1]" && p.called("start shop-db-2-1") })
	p.dies("shop-api-2-1")
	end := d.await(t, p, r.ID)
	if end.State != steady.RolloutRolledBack || p.route("db") != "1 [shop-db-1-1]" || p.route("api") != "1 [shop-api-1-1]" {
		t.Errorf("state %s, db %s, api %s", end.State, p.route("db"), p.route("api"))
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+", "shop-db-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

// A shift that was begun and failed has moved nothing: the old one goes on.
func TestRollout_PausesNothingThatHasNotTakenItsTraffic(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("db", "v1", database)))
	p.when("probe shop-db-2-1", func() {
		c := p.replicas["shop-db-2-1"]
		c.State, c.ExitCode = steady.StateExited, 1
		p.replicas["shop-db-2-1"] = c
	})
	end := d.deploy(t, p, request(spec("db", "v2", database, pausing)))
	if end.State == steady.RolloutPaused || !errors.Is(end.Error, steady.ErrExited) || p.route("db") != "1 [shop-db-1-1]" {
		t.Errorf("state %s, %+v, db %s", end.State, end.Error, p.route("db"))
	}
}
