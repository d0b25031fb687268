package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// hooked gives a service a hook of a moment; secret is what must not be shown.
func hooked(moment, on string) change {
	return func(s *steady.Spec) { s.Hooks = withHook(s.Hooks, moment, on) }
}

func projectHooked(moment string) change {
	return func(s *steady.Spec) { s.ProjectHooks = withHook(s.ProjectHooks, moment, steady.HookHost) }
}

func withHook(all *steady.Hooks, moment, on string) *steady.Hooks {
	if all == nil {
		all = new(steady.Hooks)
	}
	h := &steady.Hook{Command: []string{"TOKEN=secret", "migrate", "--key", "secret"}, On: on, Timeout: time.Minute}
	switch moment {
	case steady.HookBefore:
		all.Before = h
	case steady.HookStop:
		all.Stop = h
	case steady.HookAfter:
		all.After = h
	}
	return all
}

func TestBuild_HooksHaveTheirPlace(t *testing.T) {
	for _, tt := range []struct {
		name string
		w    *world
		want string
	}{
		{"first deploy: what a hook waits for is started before it, all else behind it", new(world).wants("db").wants("web", port(8001)).
			wants("api", port(8000), needs("db"), hooked(steady.HookBefore, steady.HookContainer)), `
shop/db start 0→2: nothing of it runs
shop/web start 0→2: nothing of it runs
shop/api start 0→2: nothing of it runs
  db/prepare
  db/holder < db/prepare
  db/create/shop-db-2-1 < db/holder
  db/start/shop-db-2-1 < db/create/shop-db-2-1
  db/probe/shop-db-2-1 < db/start/shop-db-2-1
  db/shift db=2[shop-db-2-1] < db/probe/shop-db-2-1
  api/prepare
  api/hook/before < api/prepare, db/shift
  web/prepare
  web/holder < api/hook/before, web/prepare
  web/create/shop-web-2-1 < web/holder
  web/start/shop-web-2-1 < web/create/shop-web-2-1
  web/probe/shop-web-2-1 < web/start/shop-web-2-1
  web/shift web=2[shop-web-2-1] < web/probe/shop-web-2-1
  api/holder < api/hook/before, api/prepare
  api/create/shop-api-2-1 < api/holder
  api/start/shop-api-2-1 < api/create/shop-api-2-1, db/shift
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  api/shift api=2[shop-api-2-1] < api/probe/shop-api-2-1
`},
		{"a database that is replaced too is the old one to the hook", new(world).moves("db", writes("data")).
			moves("api", port(8000), needs("db"), hooked(steady.HookBefore, steady.HookContainer), hooked(steady.HookStop, steady.HookExec), hooked(steady.HookAfter, steady.HookHost), projectHooked(steady.HookAfter)), `
shop/db hold 1→2: one replica writes to data
shop/api start-first 1→2: stateless: the new one stands beside the old one until it is ready (Compose's default would be stop-first)
  api/prepare
  api/hook/before < api/prepare
  db/prepare
  db/holder < api/hook/before, db/prepare
  db/create/shop-db-2-1 < db/holder
  api/holder < api/hook/before, api/prepare
  api/create/shop-api-2-1 < api/holder
  api/start/shop-api-2-1 < api/create/shop-api-2-1
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  db/withdraw db=1[] held < api/probe/shop-api-2-1, db/create/shop-db-2-1
  db/drain/shop-db-1-1 < db/withdraw
  db/stop/shop-db-1-1 < db/drain/shop-db-1-1
  db/start/shop-db-2-1 < db/create/shop-db-2-1, db/stop/shop-db-1-1
  db/probe/shop-db-2-1 < db/start/shop-db-2-1
  db/shift db=2[shop-db-2-1] < db/probe/shop-db-2-1
  shift api=2[shop-api-2-1] < db/shift
  api/drain/shop-api-1-1 < shift
  api/hook/stop/shop-api-1-1 < api/drain/shop-api-1-1
  api/stop/shop-api-1-1 < api/hook/stop/shop-api-1-1
  db/remove/shop-db-1-1 < api/stop/shop-api-1-1
  api/remove/shop-api-1-1 < api/stop/shop-api-1-1
  api/hook/after < api/remove/shop-api-1-1, db/remove/shop-db-1-1
  hook/after < api/hook/after
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.w.plans(t, tt.want)
		})
	}
}

func hookIDs(t *testing.T, in plan.Input) []string {
	t.Helper()
	p, err := plan.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, p)
	var out []string
	for _, s := range p.Steps {
		if s.Kind == steady.StepHook {
			out = append(out, s.ID)
		}
	}
	return out
}

func TestBuild_HooksRunOnlyWhereAReleaseIsMade(t *testing.T) {
	all := []change{hooked(steady.HookBefore, steady.HookContainer), hooked(steady.HookStop, steady.HookExec), hooked(steady.HookAfter, steady.HookExec), projectHooked(steady.HookBefore), projectHooked(steady.HookAfter)}
	w := new(world).moves("api", all...)
	if got := hookIDs(t, w.in); !slices.Equal(got, []string{"hook/before", "api/hook/before", "api/hook/stop/shop-api-1-1", "api/hook/after", "hook/after"}) {
		t.Errorf("deploy: hooks %v", got)
	}
	w.in.Kind = steady.KindRollback
	if got := hookIDs(t, w.in); !slices.Equal(got, []string{"api/hook/stop/shop-api-1-1", "api/hook/after", "hook/after"}) {
		t.Errorf("rollback: hooks %v", got)
	}
	w.in.Targets[0].Release.Spec.Hooks.Before.OnRollback = true
	if got := hookIDs(t, w.in); !slices.Contains(got, "api/hook/before") {
		t.Errorf("rollback with on_rollback: hooks %v", got)
	}
	scaled := new(world).moves("api", all...)
	scaled.in.Kind = steady.KindScale
	to := scaled.in.Serving["api"]
	to.Spec.Replicas = 3
	scaled.in.Targets = []plan.Target{{Release: to, Asked: true}}
	if got := hookIDs(t, scaled.in); len(got) > 0 {
		t.Errorf("scale: hooks %v", got)
	}
	if got := of(plan.Down(new(world).moves("api", all...).in, false), steady.StepHook); len(got) > 0 {
		t.Errorf("down: hooks %v", got)
	}
}

func TestBuild_APlanShowsNothingOfAHookButItsProgram(t *testing.T) {
	p, err := plan.Build(new(world).moves("api", hooked(steady.HookBefore, steady.HookContainer)).in)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(p.Steps, func(s steady.Step) bool { return s.Kind == steady.StepHook })
	if want := "before: migrate, in a container of the new image"; p.Steps[i].Cause != want {
		t.Errorf("cause %q, want %q", p.Steps[i].Cause, want)
	}
	if strings.Contains(fmt.Sprintf("%+v", p.Steps), "secret") {
		t.Errorf("the command is in the plan: %+v", p.Steps[i])
	}
}

// Whatever the project: a hook before runs once, when what it depends on is ready,
// before any replica that it does not wait for is created, and before anything
// that serves is touched.
func TestPlan_HooksRunBeforeAnythingIsTouched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyWorld(t)
		for i := range in.Targets {
			if rapid.Bool().Draw(t, "hooked") {
				hooked(steady.HookBefore, steady.HookContainer)(&in.Targets[i].Release.Spec)
			}
		}
		p, err := plan.Build(in)
		if err != nil {
			t.Fatal(err)
		}
		behind := map[string]map[string]bool{} // step → all it needs, however indirectly
		for _, s := range p.Steps {
			behind[s.ID] = map[string]bool{}
			for _, n := range s.Needs {
				behind[s.ID][n] = true
				for far := range behind[n] {
					behind[s.ID][far] = true
				}
			}
		}
		for _, s := range p.Steps {
			if s.Kind == steady.StepHook && s.Hook == steady.HookBefore {
				guarded(t, p, behind, s.ID)
			}
		}
		newSim(in).play(t, p, -1)
	})
}

func guarded(t *rapid.T, p steady.Plan, behind map[string]map[string]bool, hook string) {
	for _, s := range p.Steps {
		created := s.Kind == steady.StepCreate
		m, _ := p.Of(s.Service)
		touches := s.Kind == steady.StepStop || s.Kind == steady.StepDrain || s.Kind == steady.StepShift && strings.HasSuffix(s.ID, "withdraw") || s.ID == "shift"
		awaited := (m.Strategy == steady.StrategyStart || m.Strategy == steady.StrategyJob) && slices.ContainsFunc(p.Steps, func(d steady.Step) bool {
			return d.Kind == steady.StepHook && behind[d.ID][s.ID]
		})
		if (touches || created && !awaited) && !behind[s.ID][hook] {
			t.Fatalf("%s may come before %s\n%s", s.ID, hook, p)
		}
	}
}
