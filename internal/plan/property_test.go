package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// sim carries a plan out on a world of names: who runs, who is routed.
type sim struct {
	run    map[string]bool // container → runs
	routes map[string]steady.Route
	begun  map[string]bool
	dying  map[string]bool // container → its stop was begun and broken off
	ready  map[string]bool // container → it was probed, or took traffic before
	lame   map[string]bool // container → took traffic by its route, though it had died
	tight  bool            // memory has no room for all old and new at once
	done   map[string]bool // steps of the plan being played
	holds  map[string]bool // service → the plan promises that nobody finds it gone
	mounts mounts
	shared namespaces

	kept    []steady.Port     // published before and after: never nobody's
	service map[string]string // container → its service
	front   string            // a service whose port the service app opens; empty: none
}

func newSim(in plan.Input) *sim {
	s := &sim{run: map[string]bool{}, routes: map[string]steady.Route{}, begun: map[string]bool{}, dying: map[string]bool{},
		ready: map[string]bool{}, lame: map[string]bool{}, tight: in.Observed.Memory > 0, holds: map[string]bool{}, mounts: mountsOf(in.Observed), shared: namespacesOf(in)}
	s.kept, s.service = keptPorts(in), map[string]string{}
	for _, r := range in.Observed.Replicas {
		s.run[r.Name], s.service[r.Name] = r.Running(), r.Service
	}
	for _, r := range in.Routes {
		s.routes[r.Service] = r
		for _, name := range r.Replicas {
			s.ready[name], s.lame[name] = true, !s.run[name]
		}
	}
	return s
}

// play takes the steps in a random order that respects their needs, and dies
// before the n-th; below zero it takes all.
func (s *sim) play(t *rapid.T, p steady.Plan, n int) {
	for _, v := range p.Services {
		s.holds[v.Service] = v.Strategy == steady.StrategyHold
	}
	s.done = map[string]bool{}
	done := s.done
	known := map[string]bool{}
	for _, st := range p.Steps {
		known[st.ID] = true
	}
	for taken := 0; len(done) < len(p.Steps); taken++ {
		var ready []steady.Step
		for _, st := range p.Steps {
			open := !done[st.ID] && !slices.ContainsFunc(st.Needs, func(id string) bool { return known[id] && !done[id] })
			if open {
				ready = append(ready, st)
			}
		}
		if len(ready) == 0 {
			t.Fatalf("the plan is stuck:\n%s", p)
		}
		st := rapid.SampledFrom(ready).Draw(t, "next")
		s.begun[st.ID] = true
		if taken == n {
			s.dying[st.Replica] = st.Kind == steady.StepStop
			return
		}
		s.take(t, p, st)
		done[st.ID] = true
	}
}

func (s *sim) take(t *rapid.T, p steady.Plan, st steady.Step) {
	s.lent(t, p, st)
	switch st.Kind {
	case steady.StepCreate:
		if _, ok := s.run[st.Replica]; !ok {
			s.run[st.Replica] = false
			s.mounts[st.Replica], s.service[st.Replica] = st.Mounts, st.Service
			s.shared.made(t, p, st, s.run)
		}
	case steady.StepStart:
		if _, ok := s.run[st.Replica]; !ok {
			t.Fatalf("%s starts what is not there", st.ID)
		}
		if s.dying[st.Replica] {
			t.Fatalf("%s starts what is still being stopped", st.ID)
		}
		s.alone(t, p, st)
		s.shared.started(t, p, st, s.run)
		s.oneWriter(t, p, st)
		s.run[st.Replica] = true
	case steady.StepProbe, steady.StepAlias:
		if !s.run[st.Replica] {
			t.Fatalf("%s: it does not run", st.ID)
		}
		s.ready[st.Replica] = true
	case steady.StepWait: // a job has ended well, and that is all its route says
		s.run[st.Replica], s.ready[st.Replica], s.lame[st.Replica] = false, true, true
	case steady.StepStop:
		s.oneMove(t, p, st)
		s.shared.stopped(t, p, st, s.run)
		s.fronted(t, p, st)
		s.stop(t, st)
	case steady.StepRemove:
		if s.run[st.Replica] {
			t.Fatalf("%s removes what runs\n%s", st.ID, p)
		}
		delete(s.run, st.Replica)
	case steady.StepHook:
		s.hook(t, p, st)
	case steady.StepShift:
		for _, r := range st.Routes {
			s.shift(t, st, r)
		}
		s.owned(t, p, st)
		s.fronted(t, p, st)
	}
}

// hook checks that a hook finds the replica it is about, and that one before a stop
// comes when nobody is sent there any more.
func (s *sim) hook(t *rapid.T, p steady.Plan, st steady.Step) {
	if st.Replica == "" {
		return
	}
	if !s.run[st.Replica] {
		t.Fatalf("%s: %s does not run\n%s", st.ID, st.Replica, p)
	}
	if r := s.routes[st.Service]; st.Hook == steady.HookStop && slices.Contains(r.Replicas, st.Replica) && (len(r.Ports) > 0 || r.Held) {
		t.Fatalf("%s: %s takes traffic\n%s", st.ID, st.Replica, p)
	}
}

func (s *sim) stop(t *rapid.T, st steady.Step) {
	if slices.Contains(s.routes[st.Service].Replicas, st.Replica) && (len(s.routes[st.Service].Ports) > 0 || s.routes[st.Service].Held) {
		t.Fatalf("%s stops a replica that takes traffic", st.ID)
	}
	if _, ok := s.run[st.Replica]; ok {
		s.run[st.Replica], s.dying[st.Replica] = false, false
	}
}

func (s *sim) shift(t *rapid.T, st steady.Step, r steady.Route) {
	for _, name := range r.Replicas {
		if !s.run[name] && !s.lame[name] {
			t.Fatalf("%s routes to %s, which does not run", st.ID, name)
		}
		if !s.ready[name] {
			t.Fatalf("%s routes to %s, which was never asked whether it can serve", st.ID, name)
		}
	}
	if s.holds[r.Service] && len(r.Replicas) == 0 && r.Hold == nil && !r.Gone {
		t.Fatalf("%s leaves %s with nobody and an open gate", st.ID, r.Service)
	}
	if r.Hold != nil && len(r.Replicas) > 0 {
		t.Fatalf("%s shuts the gate before replicas that could answer", st.ID)
	}
	if r.Gone {
		delete(s.routes, r.Service)
		return
	}
	s.routes[r.Service] = r
}

// oneMove checks that a release of several services stays one that a single shift
// takes back, as long as it may fail: no old replica that stands beside the new ones
// is stopped before every watch of all services, but where memory has no room.
func (s *sim) oneMove(t *rapid.T, p steady.Plan, st steady.Step) {
	m, _ := p.Of(st.Service)
	if st.Release == m.To || m.GivesWay != "" || slices.Contains([]string{steady.StrategyStopFirst, steady.StrategyHold}, m.Strategy) || strings.HasPrefix(st.ID, "undo/") || s.tight {
		return
	}
	for _, x := range p.Steps {
		if (x.Kind == steady.StepWatch || x.Kind == steady.StepShift && !strings.HasSuffix(x.ID, "/bind") && x.ID != "orphans" && x.Cause != plan.CauseDisowned) && !s.done[x.ID] {
			t.Fatalf("%s before %s\n%s", st.ID, x.ID, p)
		}
	}
}

// anyWorld draws a project of up to four services, each new, deployed before, or
// made by Compose, in any shape the plans tell apart.
func anyWorld(t *rapid.T) plan.Input {
	w := new(world)
	n := rapid.IntRange(1, 4).Draw(t, "services")
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		cs := []change{replicas(rapid.IntRange(1, 3).Draw(t, "replicas")), parallel(rapid.IntRange(0, 2).Draw(t, "parallelism"))}
		if rapid.Bool().Draw(t, "published") {
			cs = append(cs, port(uint16(8000+i)))
		}
		if rapid.Bool().Draw(t, "direct") {
			cs = append(cs, direct)
		}
		if rapid.Bool().Draw(t, "tried") {
			cs = append(cs, canary(5, 50))
		}
		if rapid.Bool().Draw(t, "writes") {
			cs = append(cs, writes("data"))
		}
		cs = append(cs, order(rapid.SampledFrom([]string{"", steady.StartFirst, steady.StopFirst, steady.StrategyHold}).Draw(t, "order")))
		if rapid.IntRange(0, 3).Draw(t, "unheld") == 0 {
			cs = append(cs, func(s *steady.Spec) { s.Holding = &steady.Holding{Off: true} })
		}
		if rapid.Bool().Draw(t, "watched") {
			cs = append(cs, monitor(time.Second))
		}
		cs = append(cs, passing(t)...)
		if i > 0 && rapid.Bool().Draw(t, "depends") {
			cs = append(cs, needs(fmt.Sprintf("s%d", i-1)))
		}
		jobs := rapid.IntRange(0, 7).Draw(t, "job") == 0
		if jobs {
			cs = append(cs, job)
		}
		if i > 0 && !jobs && rapid.IntRange(0, 2).Draw(t, "shares") == 0 {
			cs = append(cs, sharing(t, w, i-1)...)
		}
		w.wants(name, cs...)
		switch rapid.IntRange(0, 2).Draw(t, "before") {
		case 0:
			cs = append(cs, replicas(rapid.IntRange(1, 3).Draw(t, "old replicas")))
			if rapid.Bool().Draw(t, "published otherwise") {
				cs = append(cs, port(uint16(9000+i)))
			}
			w.has(name, cs...)
			if jobs {
				ended(w, name)
			}
		case 1:
			foreign := steady.Replica{Name: "shop-" + name + "-1", Service: name, State: steady.StateRunning}
			if jobs {
				foreign.State = steady.StateExited
			}
			foreign.Published = w.in.Targets[i].Release.Spec.Ports
			w.in.Observed.Replicas = append(w.in.Observed.Replicas, foreign)
		}
	}
	remains(t, w)
	anonymously(t, w)
	w.in.Kind = rapid.SampledFrom([]string{steady.KindDeploy, steady.KindDeploy, steady.KindRollback, steady.KindDrill}).Draw(t, "kind")
	if rapid.Bool().Draw(t, "no room") {
		limited(w, 1<<20)
		w.in.Observed.Memory = 1
	}
	return w.in
}

// passing draws what is asked of the way from one release to the other.
func passing(t *rapid.T) []change {
	var cs []change
	if rapid.IntRange(0, 2).Draw(t, "slowly") == 0 {
		cs = append(cs, delay(time.Second))
	}
	for _, moment := range []string{steady.HookBefore, steady.HookStop, steady.HookAfter} {
		if on := rapid.SampledFrom([]string{"", "", steady.HookHost, steady.HookContainer, steady.HookExec}).Draw(t, "hook "+moment); on != "" && (on != steady.HookExec || moment != steady.HookBefore) {
			cs = append(cs, hooked(moment, on))
		}
		if rapid.IntRange(0, 3).Draw(t, "the project's") == 0 && moment != steady.HookStop {
			cs = append(cs, projectHooked(moment))
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "rolls back otherwise") == 0 {
		back := steady.Update{FailureAction: steady.Rollback, Parallelism: rapid.IntRange(0, 2).Draw(t, "rollback's parallelism"),
			Order: rapid.SampledFrom([]string{"", steady.StartFirst, steady.StopFirst}).Draw(t, "rollback's order")}
		cs = append(cs, func(s *steady.Spec) { s.Rollback = &back })
	}
	return cs
}

// ended has the containers of a job exited.
func ended(w *world, service string) {
	for i, c := range w.in.Observed.Replicas {
		if c.Service == service {
			w.in.Observed.Replicas[i].State = steady.StateExited
		}
	}
}

// remains draws what earlier trouble left: replicas that have died though they take
// traffic, and containers of an older release that run un-routed or not at all.
func remains(t *rapid.T, w *world) {
	for i, c := range w.in.Observed.Replicas {
		if c.Release > 0 && rapid.IntRange(0, 5).Draw(t, "died") == 0 {
			w.in.Observed.Replicas[i].State = steady.StateExited
		}
	}
	for _, tg := range w.in.Targets {
		if name := tg.Release.Service; !tg.Release.Spec.Job && rapid.IntRange(0, 3).Draw(t, "left over") == 0 {
			state := rapid.SampledFrom([]string{steady.StateRunning, steady.StateExited, steady.StateCreated}).Draw(t, "left over in state")
			w.in.Observed.Replicas = append(w.in.Observed.Replicas, steady.Replica{Name: "shop-" + name + "-1-9", Service: name, Release: 1, Number: 9, State: state})
		}
	}
}

func TestPlan_EndsWithExactlyTheNewRelease(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyWorld(t)
		p, err := plan.Build(in)
		if err != nil {
			t.Fatal(err)
		}
		s := newSim(in)
		s.play(t, p, -1)
		var want []string
		for _, tg := range in.Targets {
			for n := range tg.Release.Spec.Replicas {
				want = append(want, tg.Release.ReplicaName(n+1))
			}
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(s.run)); !slices.Equal(got, want) {
			t.Fatalf("containers %v, want %v\n%s", got, want, p)
		}
		s.shared.whole(t, p, s.run)
		for _, tg := range in.Targets {
			if r := s.routes[tg.Release.Service]; r.Release != 2 || len(r.Replicas) != tg.Release.Spec.Replicas || r.Hold != nil {
				t.Fatalf("route %+v: want all replicas of release 2\n%s", r, p)
			}
		}
	})
}

func TestUndo_FromAnyStepTheOldReleaseServesAndNothingIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyWorld(t)
		p, err := plan.Build(in)
		if err != nil {
			t.Fatal(err)
		}
		reversible := slices.IndexFunc(p.Steps, func(s steady.Step) bool { return s.Kind == steady.StepRemove })
		if reversible < 0 {
			reversible = len(p.Steps)
		}
		s := newSim(in)
		before, routes := maps.Clone(s.run), maps.Clone(s.routes)
		s.play(t, p, rapid.IntRange(0, reversible-1).Draw(t, "dies at"))
		back := plan.Undo(p, s.begun)
		s.play(t, back, -1)
		s.shared.whole(t, back, s.run)
		if !maps.Equal(s.run, before) {
			t.Fatalf("containers %v, want %v\nplan:\n%sundo:\n%s", s.run, before, p, back)
		}
		for service, r := range routes {
			if !slices.Equal(s.routes[service].Replicas, r.Replicas) || s.routes[service].Release != r.Release || s.routes[service].Hold != nil {
				t.Fatalf("route of %s is %+v, want %+v\nplan:\n%sundo:\n%s", service, s.routes[service], r, p, back)
			}
		}
		if len(s.routes) != len(routes) {
			t.Fatalf("routes %v, want %v", s.routes, routes)
		}
	})
}
