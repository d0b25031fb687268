package rollout_test

import (
	"slices"
	"testing"

	"gesalpai.ch/steady"
)

// plant puts a container there that no rollout of this store has made.
func (p *place) plant(project string, c steady.Replica) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replicas[c.Name], p.projects[c.Name] = c, project
}

func TestUndo_LeavesWhatItsRolloutDidNotMake(t *testing.T) {
	t.Run("a foreign container that has the replica's name", func(t *testing.T) {
		p := newPlace()
		d := boot(t, p)
		d.deploy(t, p, request(spec("api", "v1")))
		p.plant("", steady.Replica{ID: "theirs", Name: "shop-api-2-1", Image: "theirs", State: steady.StateRunning})
		if r := d.deploy(t, p, request(spec("api", "v2"))); r.State != steady.RolloutFailed {
			t.Errorf("state %s", r.State)
		}
		if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+", "shop-api-2-1+"}) {
			t.Errorf("containers %v: the foreign one is gone or stopped", got)
		}
	})
	t.Run("a holder that was there and stopped", func(t *testing.T) {
		p := newPlace()
		d := boot(t, p)
		p.mu.Lock()
		p.holders["shop-api-steady"] = steady.Holder{Project: "shop", Service: "api", Name: "shop-api-steady", ID: "theirs", Addresses: map[string]string{}}
		p.mu.Unlock()
		p.sick["shop-api-1-1"] = steady.ErrNotReady.With("shop-api-1-1 answered 503", "steady logs")
		if r := d.deploy(t, p, request(spec("api", "v1"))); r.State != steady.RolloutFailed {
			t.Errorf("state %s", r.State)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if h := p.holders["shop-api-steady"]; h.ID != "theirs" || slices.Contains(p.calls, "clean shop") {
			t.Errorf("the holder is gone, or its networks: %+v, calls %v", h, p.calls)
		}
	})
	t.Run("what runs and the store does not know", func(t *testing.T) {
		p := newPlace()
		d := boot(t, p)
		p.plant("shop", steady.Replica{ID: "lost", Name: "shop-api-1-1", Service: "api", Release: 1, Number: 1, Rollout: 57, Image: "id-api:v1", State: steady.StateRunning})
		p.mu.Lock()
		p.holders["shop-api-steady"] = steady.Holder{Project: "shop", Service: "api", Name: "shop-api-steady", PID: 7, Addresses: map[string]string{}}
		p.mu.Unlock()
		p.sick["shop-api-2-1"] = steady.ErrNotReady.With("shop-api-2-1 answered 503", "steady logs")
		p.sick["shop-api-1-1"] = p.sick["shop-api-2-1"]
		r := d.deploy(t, p, request(spec("api", "v1")))
		if r.State != steady.RolloutFailed || r.Number != 2 {
			t.Errorf("state %s, release %d", r.State, r.Number)
		}
		if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
			t.Errorf("containers %v", got)
		}
		if len(p.holders) != 1 || p.called("clean shop") {
			t.Errorf("the holder that stood there before is gone, or its networks")
		}
	})
}
