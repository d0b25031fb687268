package plan_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
		if rapid.Bool().Draw(t, "assets") {
			r.Spec.Assets = []string{"/static/*"}
		}
		number := rapid.SampledFrom([]int{0, 2, 7}).Draw(t, "warm")
		if number == 0 || in.Serving[r.Service].Number == 0 {
			continue
		}
		kept := *r
		kept.Number = number
		for n := range r.Spec.Replicas {
			c := steady.Replica{Name: kept.ReplicaName(n + 1), Service: r.Service, Release: number, State: steady.StateRunning, Image: r.Image.ID}
			if number == r.Number && rapid.IntRange(0, 3).Draw(t, "warm one died") == 0 {
				c.State = steady.StateExited
			}
			in.Observed.Replicas = append(in.Observed.Replicas, c)
		}
		in.Warm = append(in.Warm, steady.Warm{Project: "shop", Service: r.Service, Release: number})
		if rapid.Bool().Draw(t, "lends") && number != r.Number {
			lending(in, kept)
		}
	}
	return in
}

// lending has the route in force ask the kept release for assets.
func lending(in plan.Input, kept steady.Release) {
	for i := range in.Routes {
		if r := &in.Routes[i]; r.Service == kept.Service && (len(r.Ports) > 0 || r.Held) && !kept.Spec.Job {
			r.Assets = []string{"/static/*"}
			for n := range kept.Spec.Replicas {
				r.Elders = append(r.Elders, kept.ReplicaName(n+1))
			}
		}
	}
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
				keeps := v.Warm > 0 && r.Release == v.From || in.Kind == steady.KindDrill && r.Release == 7
				if keeps && r.Running() {
					want[r.Name] = true
				}
			}
			for _, e := range s.routes[v.Service].Elders {
				if !want[e] {
					t.Fatalf("%s is asked for assets and has gone\n%s", e, p)
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
		before, routes := maps.Clone(s.run), maps.Clone(s.routes)
		s.play(t, p, rapid.IntRange(0, reversible-1).Draw(t, "dies at"))
		for _, st := range p.Steps { // one that had died is started again, and so is one behind a gate or a job: they go
			m, _ := p.Of(st.Service)
			stays := m.Strategy != steady.StrategyHold && m.Strategy != steady.StrategyStopFirst && m.Strategy != steady.StrategyJob
			if st.Kind == steady.StepCreate && s.begun[st.ID] && !(stays && before[st.Replica]) {
				delete(before, st.Replica)
			}
		}
		back := plan.Undo(p, s.begun)
		s.play(t, back, -1)
		if !maps.Equal(s.run, before) {
			t.Fatalf("containers %v, want %v\nplan:\n%sundo:\n%s", s.run, before, p, back)
		}
		for service, was := range routes {
			was.Elders = slices.DeleteFunc(slices.Clone(was.Elders), func(e string) bool { // one that was stopped meanwhile is asked no more
				return slices.ContainsFunc(p.Steps, func(st steady.Step) bool {
					return st.Kind == steady.StepStop && st.Replica == e && s.begun[st.ID]
				})
			})
			if len(was.Elders) == 0 {
				was.Elders, was.Assets = nil, nil
			}
			if now := s.routes[service]; len(now.Elders) > 0 && !before[now.Elders[0]] || !cmp.Equal(now, was) {
				t.Fatalf("route of %s (-was +now):\n%s\nplan:\n%sundo:\n%s", service, cmp.Diff(was, now), p, back)
			}
		}
	})
}
