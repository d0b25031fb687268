package rollout_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
	"gesalpai.ch/steady/internal/rollout"
)

// three is a stack of three services that are released as one; onFail is what the
// file says of the third.
func three(v, onFail string) rollout.Request {
	at := func(p uint16, onFail string, watch time.Duration) func(*steady.Spec) {
		return func(s *steady.Spec) {
			s.Ports[0].Published, s.Update.FailureAction, s.Update.Monitor = p, onFail, watch
		}
	}
	return request(spec("api", v, at(8000, steady.Rollback, time.Millisecond)), spec("web", v, at(8001, steady.Rollback, time.Hour)),
		spec("mail", v, at(8002, onFail, time.Hour)))
}

// release deploys the stack once, shifts it once more and has the named replica die
// in its watch window; it gives the calls since the shift.
func (d *daemon) release(t *testing.T, p *place, onFail, dies string) (steady.Rollout, []string) {
	t.Helper()
	first := three("v1", onFail)
	for i := range first.Targets {
		first.Targets[i].Release.Spec.Update.Monitor = 0
	}
	d.deploy(t, p, first)
	r := d.accept(t, p, three("v2", onFail))
	eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.done[r.ID]["api/watch/1"]
	})
	p.mu.Lock()
	p.calls = nil
	p.mu.Unlock()
	p.dies(dies)
	end := d.await(t, p, r.ID)
	p.mu.Lock()
	defer p.mu.Unlock()
	return end, slices.Clone(p.calls)
}

func TestRollout_TheWholeStackGoesBackInOneMoveWhenOneFailsItsWatch(t *testing.T) {
	p := newPlace()
	end, calls := boot(t, p).release(t, p, steady.Rollback, "shop-mail-2-1")
	if end.State != steady.RolloutRolledBack || end.Error.Service != "mail" {
		t.Errorf("%s, %+v", end.State, end.Error)
	}
	routes := 0
	for _, c := range calls {
		if c == "route" {
			routes++
		}
		if c != "route" && strings.Contains(c, "-1-1") && !strings.HasPrefix(c, "look at") {
			t.Errorf("%s: an old replica was touched", c)
		}
	}
	if routes != 1 {
		t.Errorf("%d moves: %v", routes, calls)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+", "shop-mail-1-1+", "shop-web-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

// One that says pause keeps the whole release as it stands: both releases are there,
// and a person decides.
func TestRollout_OneThatSaysPausePausesTheWholeStack(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	end, calls := d.release(t, p, steady.Pause, "shop-mail-2-1")
	if end.State != steady.RolloutPaused || slices.Contains(calls, "route") {
		t.Errorf("%s, calls %v", end.State, calls)
	}
	want := []string{"shop-api-1-1+", "shop-api-2-1+", "shop-mail-1-1+", "shop-mail-2-1", "shop-web-1-1+", "shop-web-2-1+"}
	if got := p.containers(); !slices.Equal(got, want) {
		t.Errorf("containers %v", got)
	}
	next := three("v3", steady.Pause)
	for i := range next.Targets {
		next.Targets[i].Release.Spec.Update.Monitor = 0
	}
	if r := d.deploy(t, p, next); r.State != steady.RolloutDone {
		t.Errorf("the next deploy: %s, %v", r.State, r.Error)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-3-1+", "shop-mail-3-1+", "shop-web-3-1+"}) {
		t.Errorf("containers %v", got)
	}
}

// One that says continue is forgiven; it goes back with the rest all the same when
// another fails.
func TestRollout_OneThatSaysContinueGoesBackWithTheOthers(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.when("look at shop-mail-2-1", func() {
		_ = p.set("shop-mail-2-1", func(c *steady.Replica) {
			if c.Running() && p.routes["mail"].Release == 2 {
				c.State, c.ExitCode = steady.StateExited, 1
			}
		})
	})
	end, _ := d.release(t, p, steady.Continue, "shop-web-2-1")
	if end.State != steady.RolloutRolledBack || end.Error.Service != "web" {
		t.Errorf("%s, %+v", end.State, end.Error)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+", "shop-mail-1-1+", "shop-web-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

// An old replica that has died meanwhile is started again, and keeps no other
// service from going back.
func TestRollout_AnOldReplicaThatHasDiedKeepsNoOtherServiceBack(t *testing.T) {
	for _, comes := range []bool{true, false} {
		p := newPlace()
		d := boot(t, p)
		p.when("look at shop-mail-2-1", func() {
			if p.routes["mail"].Release != 2 {
				return
			}
			for _, name := range []string{"shop-web-1-1", "shop-mail-2-1"} {
				_ = p.set(name, func(c *steady.Replica) { c.State, c.ExitCode = steady.StateExited, 9 })
			}
			if !comes {
				p.fails["start shop-web-1-1"] = errors.New("its network is gone")
			}
		})
		end := d.fails(t, p)
		got, mail, api := p.containers(), p.route("mail"), p.route("api")
		if mail != "1 [shop-mail-1-1]" || api != "1 [shop-api-1-1]" {
			t.Errorf("comes back %t: mail at %s, api at %s", comes, mail, api)
		}
		back := end.Receipt.Shifts[len(end.Receipt.Shifts)-1]
		if n := len(back.Services); n != map[bool]int{true: 3, false: 2}[comes] || back.Services[0].Release != 1 {
			t.Errorf("comes back %t: the receipt's last shift is %+v", comes, back)
		}
		want := []string{"shop-api-1-1+", "shop-mail-1-1+", "shop-web-1-1+"}
		state := steady.RolloutRolledBack
		if !comes {
			want, state = []string{"shop-api-1-1+", "shop-mail-1-1+", "shop-web-1-1", "shop-web-2-1+"}, steady.RolloutFailed
		}
		if !slices.Equal(got, want) || end.State != state {
			t.Errorf("comes back %t: %s, containers %v, web at %s", comes, end.State, got, p.route("web"))
		}
	}
}

// fails deploys the stack once, and once more with a watch window that something
// ends.
func (d *daemon) fails(t *testing.T, p *place) steady.Rollout {
	t.Helper()
	first := three("v1", steady.Rollback)
	for i := range first.Targets {
		first.Targets[i].Release.Spec.Update.Monitor = 0
	}
	d.deploy(t, p, first)
	return d.deploy(t, p, three("v2", steady.Rollback))
}

func TestRollout_ARollbackTidiesUpAfterAPause(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	if end, _ := d.release(t, p, steady.Pause, "shop-mail-2-1"); end.State != steady.RolloutPaused {
		t.Fatalf("%s, %v", end.State, end.Error)
	}
	q := rollout.Request{Kind: steady.KindRollback, Project: "shop"}
	p.mu.Lock()
	for _, r := range p.releases {
		if r.Number == 1 {
			q.Targets = append(q.Targets, plan.Target{Release: r, Asked: true})
		}
	}
	p.mu.Unlock()
	if r := d.deploy(t, p, q); r.State != steady.RolloutDone {
		t.Errorf("%s, %v", r.State, r.Error)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+", "shop-mail-1-1+", "shop-web-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}
