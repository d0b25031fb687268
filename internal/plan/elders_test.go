package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

func assets(paths ...string) change { return func(s *steady.Spec) { s.Assets = paths } }

// lenders are the shifts' elders and assets, by step.
func lenders(p steady.Plan) map[string][]string {
	out := map[string][]string{}
	for _, s := range p.Steps {
		for _, r := range s.Routes {
			if len(r.Elders)+len(r.Assets) > 0 {
				out[s.ID] = append(slices.Clone(r.Elders), r.Assets...)
			}
		}
	}
	return out
}

func TestPlan_OldReplicasAreAskedForAssetsUntilTheyAreDrained(t *testing.T) {
	w := new(world)
	shape := []change{port(8000), replicas(2), parallel(1), monitor(time.Second), assets("/static/*")}
	w.wants("web", shape...).has("web", shape...)
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"shift":       {"shop-web-1-1", "/static/*"},
		"web/shift/2": {"shop-web-1-1", "shop-web-1-2", "/static/*"},
	}
	if d := cmp.Diff(want, lenders(p)); d != "" {
		t.Errorf("%s\n%s", d, p)
	}
	needs := map[string][]string{}
	for _, s := range p.Steps {
		needs[s.ID] = s.Needs
	}
	for drain, want := range map[string]string{"web/drain/shop-web-1-1": "web/disown/1", "web/drain/shop-web-1-2": "web/disown/1"} {
		if !slices.Equal(needs[drain], []string{want}) {
			t.Errorf("%s needs %v, want %s\n%s", drain, needs[drain], want, p)
		}
	}
	for disown, want := range map[string]string{"web/disown/1": "web/watch/2"} {
		if !slices.Contains(needs[disown], want) {
			t.Errorf("%s needs %v, want %s\n%s", disown, needs[disown], want, p)
		}
	}
}

func TestPlan_WhatIsKeptWarmIsAskedForAssetsToo(t *testing.T) {
	w := new(world)
	shape := []change{port(8000), warm(time.Minute), assets("/static/*")}
	w.wants("web", shape...).has("web", shape...)
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string][]string{"shift": {"shop-web-1-1", "/static/*"}}, lenders(p)); d != "" {
		t.Errorf("%s\n%s", d, p)
	}
}

func TestPlan_WithoutAWatchWindowOrAssetsNothingIsLent(t *testing.T) {
	for name, shape := range map[string][]change{
		"no window":  {port(8000), assets("/static/*")},
		"no assets":  {port(8000), monitor(time.Second)},
		"stop-first": {port(8000), monitor(time.Second), assets("/static/*"), order(steady.StopFirst)},
		"a worker":   {direct, monitor(time.Second), assets("/static/*")},
	} {
		w := new(world)
		w.wants("web", shape...).has("web", shape...)
		p, err := plan.Build(w.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := lenders(p); len(got) > 0 {
			t.Errorf("%s: %v\n%s", name, got, p)
		}
	}
}

func TestPlan_NoElderTakesTrafficOrIsDrainedOrStopped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyWorld(t)
		for i := range in.Targets {
			if rapid.Bool().Draw(t, "assets") {
				in.Targets[i].Release.Spec.Assets = []string{"/static/*"}
			}
		}
		p, err := plan.Build(in)
		if err != nil {
			t.Fatal(err)
		}
		s := newSim(in)
		s.play(t, p, -1)
		for _, r := range s.routes {
			if len(r.Elders)+len(r.Assets) > 0 {
				t.Fatalf("elders are left: %+v\n%s", r, p)
			}
		}
	})
}

func TestUndo_FromAnyStepNobodyIsAskedForAssetsAnyMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyWorld(t)
		for i := range in.Targets {
			in.Targets[i].Release.Spec.Assets = []string{"/static/*"}
		}
		p, err := plan.Build(in)
		if err != nil {
			t.Fatal(err)
		}
		reversible := slices.IndexFunc(p.Steps, func(s steady.Step) bool { return s.Kind == steady.StepRemove })
		if reversible < 0 {
			reversible = len(p.Steps)
		}
		s := newSim(in)
		s.play(t, p, rapid.IntRange(0, reversible-1).Draw(t, "dies at"))
		back := plan.Undo(p, s.begun)
		s.play(t, back, -1)
		for _, r := range in.Routes {
			if now := s.routes[r.Service]; !slices.Equal(now.Replicas, r.Replicas) || len(now.Elders) > 0 {
				t.Fatalf("route %+v, want %+v\nplan:\n%sundo:\n%s", now, r, p, back)
			}
		}
	})
}

// lent fails the test where an elder is drained or stopped, takes traffic, or is
// not there.
func (s *sim) lent(t *rapid.T, p steady.Plan, st steady.Step) {
	if (st.Kind == steady.StepDrain || st.Kind == steady.StepStop) && slices.Contains(s.routes[st.Service].Elders, st.Replica) {
		t.Fatalf("%s: it is asked for assets\n%s", st.ID, p)
	}
	for _, r := range st.Routes {
		for _, e := range r.Elders {
			if slices.Contains(r.Replicas, e) || !s.run[e] || len(r.Assets) == 0 {
				t.Fatalf("%s: elder %s of %+v\n%s", st.ID, e, r, p)
			}
		}
	}
}
