package runtimetest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func hold(t *testing.T, r *room) {
	rel := r.held("api", 1)
	h := r.holder(rel)
	if h.Ref() != r.Project+"/api" || h.ID == "" || h.Name == "" || h.PID == 0 || h.Started.IsZero() {
		t.Errorf("holder %+v", h)
	}
	if h.Addresses[r.Project+"_default"] == "" || len(h.Addresses) != 1 {
		t.Errorf("addresses %v", h.Addresses)
	}
	if d := cmp.Diff([]string{"api", Alias}, r.named(rel, h.Name)); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

func holdAgain(t *testing.T, r *room) {
	rel := r.held("api", 1)
	one := r.holder(rel)
	if d := cmp.Diff(one, r.holder(rel)); d != "" {
		t.Errorf("holder (-first +second):\n%s", d)
	}
	if d := cmp.Diff(one, r.holder(r.held("api", 2))); d != "" {
		t.Errorf("holder (-first +of the next release):\n%s", d)
	}
}

func holdStopped(t *testing.T, r *room) {
	rel := r.held("api", 1)
	one := r.holder(rel)
	r.must("stop the holder", r.Runtime.Stop(r.ctx, one.Name))
	seen, err := r.Runtime.Observe(r.ctx, r.Project, nil)
	r.must("observe", err)
	if _, runs := seen.Holders[rel.Service]; runs || !slices.Contains(seen.Stopped, rel.Service) {
		t.Errorf("stopped, it is observed as %v, stopped %v", seen.Holders, seen.Stopped)
	}
	two := r.holder(rel)
	if two.ID != one.ID || two.PID == 0 || !two.Started.After(one.Started) {
		t.Errorf("holder was %+v, is %+v", one, two)
	}
	if d := cmp.Diff(one.Addresses, two.Addresses); d != "" {
		t.Errorf("addresses (-before +after):\n%s", d)
	}
}

func holdNames(t *testing.T, r *room) {
	rel := r.held("api", 1)
	one := r.holder(rel)
	rel.Spec.Networks[0].Aliases = []string{"api", "renamed"}
	two := r.holder(rel)
	if d := cmp.Diff([]string{"api", "renamed"}, r.named(rel, two.Name)); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
	if old := r.named(r.held("api", 1), two.Name); len(old) != 1 {
		t.Errorf("it still has names of before: %v", old)
	}
	if d := cmp.Diff(one, two); d != "" {
		t.Errorf("holder (-before +after):\n%s", d)
	}
}

func heldReplica(t *testing.T, r *room) {
	rel := r.held("api", 1)
	r.holder(rel)
	c := r.started(rel)
	r.must("name", r.Runtime.Name(r.ctx, rel, c.Name))
	if got := r.named(rel, c.Name); len(got) > 0 {
		t.Errorf("replica has names %v", got)
	}
}

func holdNone(t *testing.T, r *room) {
	off := r.release("api", r.Serve, 1)
	r.must("prepare", r.Runtime.Prepare(r.ctx, off.Spec))
	_, err := r.Runtime.Hold(r.ctx, off.Spec)
	r.is("hold", err, steady.ErrUnsupported)
}

func holderAside(t *testing.T, r *room) {
	rel := r.held("api", 1)
	r.holder(rel)
	c := r.started(rel)
	seen, err := r.Runtime.Observe(r.ctx, r.Project, nil)
	r.must("observe", err)
	if len(seen.Replicas) != 1 || seen.Replicas[0].Name != c.Name {
		t.Errorf("observed %+v", seen.Replicas)
	}
}

func forget(t *testing.T, r *room) {
	rel := r.held("api", 1)
	one := r.holder(rel)
	r.must("forget", r.Runtime.Forget(r.ctx, r.Project, "api"))
	if _, err := r.Names(r.ctx, r.Project+"_default", one.Name); err == nil {
		t.Error("the holder is still there")
	}
	r.must("forget again", r.Runtime.Forget(r.ctx, r.Project, "api"))
	if two := r.holder(rel); two.ID == one.ID {
		t.Error("the holder came back")
	}
}

func cleanHolder(t *testing.T, r *room) {
	rel := r.held("api", 1)
	h := r.holder(rel)
	r.must("clean", r.Runtime.Clean(r.ctx, r.Project, false))
	if _, err := r.Names(r.ctx, r.Project+"_default", h.Name); err == nil {
		t.Error("the holder is still there")
	}
	if _, err := r.Runtime.Hold(r.ctx, rel.Spec); err == nil {
		t.Error("held in a network that was cleaned away")
	}
}
