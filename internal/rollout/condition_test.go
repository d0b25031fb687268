package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func (p *place) become(name string, change func(*steady.Replica)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.replicas[name]
	change(&c)
	p.replicas[name] = c
}

func TestRollout_AWatchDoesNotCondemnWhatTheOldReleaseHasToo(t *testing.T) {
	ails := map[string]func(*steady.Replica){
		"unhealthy": func(c *steady.Replica) { c.Health, c.Check = steady.HealthUnhealthy, "curl: not found (exit code 127)" },
		"oom":       func(c *steady.Replica) { c.OOM = true },
		"restarts":  func(c *steady.Replica) { c.Created, c.Restarts = time.Now().Add(-2*time.Second), 2 },
	}
	for name, ail := range ails {
		for _, before := range []bool{true, false} {
			p := newPlace()
			d := boot(t, p)
			d.deploy(t, p, request(spec("api", "v1")))
			if before {
				p.become("shop-api-1-1", ail)
			}
			r := d.accept(t, p, request(spec("api", "v2", watched(steady.Rollback), briefly)))
			eventually(t, func() bool { return strings.HasPrefix(p.route("api"), "2 ") })
			p.become("shop-api-2-1", ail)
			end := d.await(t, p, r.ID)
			if before && end.State != steady.RolloutDone {
				t.Errorf("%s, as before: %s, %+v", name, end.State, end.Error)
			}
			if !before && (end.State != steady.RolloutRolledBack || !errors.Is(end.Error, steady.ErrExited)) {
				t.Errorf("%s, as it was not before: %s, %+v", name, end.State, end.Error)
			}
			if !before && name == "unhealthy" && !strings.Contains(end.Error.Text, "turned unhealthy, as its healthcheck says: curl: not found (exit code 127), during") {
				t.Errorf("it says %q", end.Error.Text)
			}
		}
	}
}

func TestRollout_TheLogOfAReplicaThatAnUndoRemovesIsKept(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.sick["shop-api-2-1"] = steady.ErrNotReady.With("not ready", "")
	if end := d.deploy(t, p, request(spec("api", "v2"))); end.State != steady.RolloutFailed {
		t.Fatalf("%s, %+v", end.State, end.Error)
	}
	if got := p.left["shop-api-2-1"]; len(got) != 3 || got[2].Text != "three" {
		t.Errorf("kept %v", got)
	}
	delete(p.sick, "shop-api-2-1")
	d.deploy(t, p, request(spec("api", "v3")))
	if len(p.left) != 1 {
		t.Errorf("of a rollout that was done something is kept: %v", p.left)
	}
}
