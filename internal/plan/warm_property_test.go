package plan_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// warmWorld is any world in which some services shall keep the release before, and
// some have one that is kept: another, or the very one that is wanted.
func warmWorld(t *rapid.T) plan.Input {
	in := anyWorld(t)
	for i := range in.Targets {
		r := &in.Targets[i].Release
		if rapid.Bool().Draw(t, "keeps") {
			r.Spec.Warm = time.Minute
		}
		number := rapid.SampledFrom([]int{0, 2, 7}).Draw(t, "warm")
		if number == 0 || in.Serving[r.Service].Number == 0 {
			continue
		}
		kept := *r
		kept.Number = number
		for n := range r.Spec.Replicas {
			in.Observed.Replicas = append(in.Observed.Replicas, steady.Replica{Name: kept.ReplicaName(n + 1), Service: r.Service, Release: number,
				State: steady.StateRunning, Image: r.Image.ID})
		}
		in.Warm = append(in.Warm, steady.Warm{Project: "shop", Service: r.Service, Release: number})
	}
	return in
}

func TestPlan_EndsWithTheNewReleaseAndWhatItKeeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := warmWorld(t)
		p, err := plan.Build(in)
		if err != nil {
			t.Fatal(err)
		}
		s := newSim(in)
		s.play(t, p, -1)
		want := map[string]bool{}
		for _, tg := range in.Targets {
			for n := range tg.Release.Spec.Replicas {
				want[tg.Release.ReplicaName(n+1)] = !tg.Release.Spec.Job // which has run and ended
			}
			v, _ := p.Of(tg.Release.Service)
			for _, r := range in.Observed.Of(v.Service) {
				if v.Warm > 0 && r.Release == v.From && r.Running() {
					want[r.Name] = true
				}
			}
			if r := s.routes[v.Service]; r.Release != 2 || len(r.Replicas) != tg.Release.Spec.Replicas {
				t.Fatalf("route %+v: want all replicas of release 2\n%s", r, p)
			}
		}
		if !maps.Equal(s.run, want) {
			t.Fatalf("containers %v, want %v, all running\n%s", s.run, want, p)
		}
	})
}

func TestUndo_FromAnyStepWhatWasKeptWarmRunsAsBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := warmWorld(t)
		p, err := plan.Build(in)
		if err != nil {
			t.Fatal(err)
		}
		reversible := slices.IndexFunc(p.Steps, func(s steady.Step) bool { return s.Kind == steady.StepRemove || s.Kind == steady.StepWarm })
		if reversible < 0 {
			reversible = len(p.Steps)
		}
		s := newSim(in)
		before := maps.Clone(s.run)
		s.play(t, p, rapid.IntRange(0, reversible-1).Draw(t, "dies at"))
		for _, st := range p.Steps { // a warm one that could not simply be shifted to was taken over, and goes
			if st.Kind == steady.StepCreate && s.begun[st.ID] {
				delete(before, st.Replica)
			}
		}
		back := plan.Undo(p, s.begun)
		s.play(t, back, -1)
		if !maps.Equal(s.run, before) {
			t.Fatalf("containers %v, want %v\nplan:\n%sundo:\n%s", s.run, before, p, back)
		}
	})
}
