package plan_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// keptPorts are those that are published before and after a plan, and that somebody
// answers at before.
func keptPorts(in plan.Input) []steady.Port {
	var out []steady.Port
	for _, r := range in.Routes {
		if !slices.ContainsFunc(r.Replicas, func(name string) bool { c, _ := in.Observed.Named(name); return c.Running() }) {
			continue
		}
		for _, p := range r.Ports {
			if slices.ContainsFunc(in.Targets, func(tg plan.Target) bool { return slices.ContainsFunc(tg.Release.Spec.Ports, p.Meets) }) {
				out = append(out, p)
			}
		}
	}
	return out
}

// owned checks that a shift leaves each published port to one service, and none that is
// published before and after to nobody.
func (s *sim) owned(t *rapid.T, p steady.Plan, st steady.Step) {
	owners := map[uint16][]string{}
	for _, service := range slices.Sorted(maps.Keys(s.routes)) {
		for _, port := range s.routes[service].Ports {
			owners[port.Published] = append(owners[port.Published], service)
		}
	}
	for port, of := range owners {
		if len(of) > 1 {
			t.Fatalf("%s: port %d is published by %v\n%s", st.ID, port, of, p)
		}
	}
	for _, port := range s.kept {
		if len(owners[port.Published]) == 0 {
			t.Fatalf("%s: port %d is nobody's\n%s", st.ID, port.Published, p)
		}
	}
}

// oneWriter checks that an orphan and the new replicas of the service that takes its place
// never run at once, as only one of them may write.
func (s *sim) oneWriter(t *rapid.T, p steady.Plan, st steady.Step) {
	heirs := map[string]bool{} // new replicas
	for _, x := range p.Services {
		for n := range x.Replicas {
			heirs[steady.Release{Project: p.Project, Service: x.Service, Number: x.To}.ReplicaName(n+1)] = true
		}
	}
	rivals := func(o steady.ServicePlan, a, b string) bool {
		return o.GivesWay != "" && s.service[a] == o.Service && s.service[b] == o.GivesWay && heirs[b]
	}
	for _, o := range p.Services {
		for name, runs := range s.run {
			if runs && (rivals(o, name, st.Replica) || rivals(o, st.Replica, name)) {
				t.Fatalf("%s: %s runs, and both write to one volume\n%s", st.ID, name, p)
			}
		}
	}
}

// renamed draws a world in which services have been taken out of the files or renamed,
// and published ports have moved between those that are there.
func renamed(t *rapid.T) plan.Input {
	w := &world{in: anyWorld(t)}
	w.in.Warm = nil
	wanted := func() (out []uint16) {
		for _, tg := range w.in.Targets {
			for _, p := range tg.Release.Spec.Ports {
				out = append(out, p.Published)
			}
		}
		return out
	}()
	free := func(p uint16) bool {
		return !slices.ContainsFunc(w.in.Routes, func(r steady.Route) bool { return slices.ContainsFunc(r.Ports, ports(p)[0].Meets) }) &&
			!slices.ContainsFunc(w.in.Observed.Replicas, func(r steady.Replica) bool { return slices.ContainsFunc(r.Published, ports(p)[0].Meets) })
	}
	for i, r := range w.in.Routes { // ports that have moved
		if len(wanted) == 0 || rapid.Bool().Draw(t, "it had its own port") {
			continue
		}
		if p := rapid.SampledFrom(wanted).Draw(t, "it had the port"); free(p) {
			had := w.in.Serving[r.Service]
			had.Spec.Ports, w.in.Routes[i].Ports = ports(p), ports(p)
			w.in.Serving[r.Service] = had
		}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "orphans") {
		orphaned(t, w, fmt.Sprintf("o%d", i), append(slices.Clone(wanted), uint16(7000+i)), free)
	}
	w.only()
	w.in.Options.RemoveOrphans = rapid.Bool().Draw(t, "--remove-orphans")
	return w.in
}

func orphaned(t *rapid.T, w *world, name string, of []uint16, free func(uint16) bool) {
	cs := []change{replicas(rapid.IntRange(1, 2).Draw(t, "orphan's replicas"))}
	if p := rapid.SampledFrom(of).Draw(t, "orphan's port"); free(p) {
		cs = append(cs, port(p))
	}
	if name == "o0" && rapid.Bool().Draw(t, "orphan writes") {
		cs = append(cs, writes("data"))
	}
	if rapid.IntRange(0, 2).Draw(t, "orphan of Compose's") > 0 {
		w.has(name, cs...)
		return
	}
	s := release(1, name, cs...).Spec
	w.made(name, s.Ports, s.State...)
}

// buildable gives the world's plan; worlds that are refused are drawn again.
func buildable(t *rapid.T, in plan.Input) steady.Plan {
	p, err := plan.Build(in)
	if errors.Is(err, steady.ErrPortTaken) || errors.Is(err, steady.ErrOrphan) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRename_EndsWithTheFilesServicesAndTheirPorts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := renamed(t)
		p := buildable(t, in)
		s := newSim(in)
		var want []string
		for _, tg := range in.Targets {
			for n := range tg.Release.Spec.Replicas {
				want = append(want, tg.Release.ReplicaName(n+1))
			}
		}
		for _, c := range in.Observed.Replicas {
			if slices.Contains(plan.Orphans(in), c.Service) && !in.Options.RemoveOrphans {
				want = append(want, c.Name)
			}
		}
		s.play(t, p, -1)
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(s.run)); !slices.Equal(got, want) {
			t.Fatalf("containers %v, want %v\n%s", got, want, p)
		}
		for _, tg := range in.Targets {
			if r := s.routes[tg.Release.Service]; r.Release != 2 || !slices.Equal(r.Ports, tg.Release.Spec.Ports) {
				t.Fatalf("route %+v: want release 2 with ports %v\n%s", r, tg.Release.Spec.Ports, p)
			}
		}
		for _, c := range in.Observed.Replicas {
			if slices.Contains(want, c.Name) && c.Running() && slices.Contains(plan.Orphans(in), c.Service) && !s.run[c.Name] {
				t.Fatalf("%s does not run any more, and nobody asked for that\n%s", c.Name, p)
			}
		}
	})
}

func TestRename_FromAnyStepAllGoesBackAndNoPortIsEverNobodys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := renamed(t)
		p := buildable(t, in)
		reversible := slices.IndexFunc(p.Steps, func(s steady.Step) bool { return s.Kind == steady.StepRemove || s.Kind == steady.StepForget })
		if reversible < 0 {
			reversible = len(p.Steps)
		}
		if reversible == 0 {
			t.Skip("nothing to undo")
		}
		s := newSim(in)
		before, routes := maps.Clone(s.run), maps.Clone(s.routes)
		s.play(t, p, rapid.IntRange(0, reversible-1).Draw(t, "dies at"))
		back := plan.Undo(p, s.begun)
		s.play(t, back, -1)
		if !maps.Equal(s.run, before) {
			t.Fatalf("containers %v, want %v\nplan:\n%sundo:\n%s", s.run, before, p, back)
		}
		for service, r := range routes {
			if now := s.routes[service]; !slices.Equal(now.Replicas, r.Replicas) || now.Release != r.Release || now.Hold != nil || !slices.Equal(now.Ports, r.Ports) {
				t.Fatalf("route of %s is %+v, want %+v\nplan:\n%sundo:\n%s", service, now, r, p, back)
			}
		}
		if len(s.routes) != len(routes) {
			t.Fatalf("routes %v, want %v", s.routes, routes)
		}
	})
}
