package rollout_test

import (
	"errors"
	"slices"
	"testing"

	"gesalpai.ch/steady"
)

func singleton(v string) steady.Spec {
	return spec("db", v, func(s *steady.Spec) { s.State = []string{"data"} })
}

// gates lists what each shift said of the service: how many replicas, held or not.
func (p *place) gates() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.held)
}

func TestRollout_HoldShutsTheGateUntilTheNewOneIsReady(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(singleton("v1")))
	d.deploy(t, p, request(singleton("v2")))
	if got, want := p.gates(), []string{"[shop-db-1-1]", "[] held", "[shop-db-2-1]"}; !slices.Equal(got, want) {
		t.Errorf("shifts %v, want %v", got, want)
	}
}

func TestRollout_ANewOneThatFailsGivesWayBehindTheGate(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(singleton("v1")))
	p.sick["shop-db-2-1"] = steady.ErrNotReady.With("no", "")
	if r := d.deploy(t, p, request(singleton("v2"))); r.State != steady.RolloutFailed {
		t.Errorf("state %s", r.State)
	}
	if got, want := p.gates(), []string{"[shop-db-1-1]", "[] held", "[] held", "[shop-db-1-1]"}; !slices.Equal(got, want) {
		t.Errorf("shifts %v, want %v", got, want)
	}
}

// Where not even the old one comes back, who waits is not kept waiting for it.
func TestRollout_AGateIsNotLeftShut(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(singleton("v1")))
	p.sick["shop-db-2-1"] = steady.ErrNotReady.With("no", "")
	p.fails["start shop-db-1-1"] = errors.New("its network is gone")
	d.deploy(t, p, request(singleton("v2")))
	if got := p.gates(); got[len(got)-1] != "[]" {
		t.Errorf("shifts %v: want the gate open at the end", got)
	}
}
