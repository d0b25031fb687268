package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// world is a project in which release 1 of every service serves, as built by the
// options, and release 2 is wanted.
type world struct{ in plan.Input }

type change func(*steady.Spec)

func port(p uint16) change {
	return func(s *steady.Spec) {
		s.Ports = []steady.Port{{Published: p, Target: p, Transport: "tcp", Protocol: steady.HTTP}}
	}
}
func replicas(n int) change  { return func(s *steady.Spec) { s.Replicas = n } }
func order(o string) change  { return func(s *steady.Spec) { s.Update.Order = o } }
func parallel(n int) change  { return func(s *steady.Spec) { s.Update.Parallelism = n } }
func writes(v string) change { return func(s *steady.Spec) { s.State = []string{v} } }
func needs(other string) change {
	return func(s *steady.Spec) {
		s.DependsOn = append(s.DependsOn, steady.Dependency{Service: other, Condition: "service_healthy", Required: true})
	}
}
func monitor(d time.Duration) change { return func(s *steady.Spec) { s.Update.Monitor = d } }
func delay(d time.Duration) change   { return func(s *steady.Spec) { s.Update.Delay = d } }
func job(s *steady.Spec)             { s.Job = true }
func direct(s *steady.Spec)          { s.Internal = steady.InternalOff }

func release(number int, service string, cs ...change) steady.Release {
	s := steady.Spec{Project: "shop", Service: service, Image: "shop/" + service, Replicas: 1,
		Networks: []steady.Network{{Key: "default", Name: "shop_default"}},
		Update:   steady.Update{FailureAction: steady.Rollback}}
	for _, c := range cs {
		c(&s)
	}
	return steady.Release{Project: "shop", Service: service, Number: number, Spec: s, Digest: fmt.Sprint("digest-", number),
		Image: steady.Image{Ref: s.Image, ID: fmt.Sprint("image-", number)}}
}

func (w *world) wants(service string, cs ...change) *world {
	w.in.Project = "shop"
	if w.in.Observed.Images == nil {
		w.in.Observed.Images = map[string]steady.Image{}
		w.in.Serving = map[string]steady.Release{}
	}
	w.in.Targets = append(w.in.Targets, plan.Target{Release: release(2, service, cs...), Asked: true})
	return w
}

// has makes release 1 of the service serve, with all its replicas running.
func (w *world) has(service string, cs ...change) *world {
	r := release(1, service, cs...)
	w.in.Serving[service] = r
	route := steady.Route{Project: "shop", Service: service, Release: 1, Ports: r.Spec.Ports}
	route.Held, _ = r.Spec.Held()
	for n := range r.Spec.Replicas {
		name := r.ReplicaName(n + 1)
		route.Replicas = append(route.Replicas, name)
		w.in.Observed.Replicas = append(w.in.Observed.Replicas, steady.Replica{ID: name, Name: name, Service: service, Release: 1, Number: n + 1, State: steady.StateRunning, Image: "image-1"})
	}
	w.in.Routes = append(w.in.Routes, route)
	return w
}

func (w *world) moves(service string, cs ...change) *world {
	return w.wants(service, cs...).has(service, cs...)
}

func TestBuild_PlansByStrategy(t *testing.T) {
	for _, tt := range []struct {
		name string
		w    *world
		want string
	}{
		{"first deploy: what others call takes its traffic as soon as it is ready", new(world).wants("db").wants("api", port(8000), needs("db")), `
shop/db start 0→2: nothing of it runs
shop/api start 0→2: nothing of it runs
  db/prepare
  db/holder < db/prepare
  db/create/shop-db-2-1 < db/holder
  db/start/shop-db-2-1 < db/create/shop-db-2-1
  db/probe/shop-db-2-1 < db/start/shop-db-2-1
  db/shift db=2[shop-db-2-1] < db/probe/shop-db-2-1
  api/prepare
  api/holder < api/prepare
  api/create/shop-api-2-1 < api/holder
  api/start/shop-api-2-1 < api/create/shop-api-2-1, db/shift
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  api/shift api=2[shop-api-2-1] < api/probe/shop-api-2-1
`},
		{"without holders names come when ready, and all shift at once", new(world).wants("db", direct).wants("api", direct, port(8000), needs("db")), `
shop/db start 0→2: nothing of it runs
shop/api start 0→2: nothing of it runs
  db/prepare
  db/create/shop-db-2-1 < db/prepare
  db/start/shop-db-2-1 < db/create/shop-db-2-1
  db/probe/shop-db-2-1 < db/start/shop-db-2-1
  db/alias/shop-db-2-1 < db/probe/shop-db-2-1
  api/prepare
  api/create/shop-api-2-1 < api/prepare
  api/start/shop-api-2-1 < api/create/shop-api-2-1, db/alias/shop-db-2-1
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  api/alias/shop-api-2-1 < api/probe/shop-api-2-1
  shift db=2[shop-db-2-1] api=2[shop-api-2-1] < api/alias/shop-api-2-1
`},
		{"stateless: new beside old, then one shift, and removing last", new(world).moves("api", port(8000)), `
shop/api start-first 1→2: stateless: the new one stands beside the old one until it is ready (Compose's default would be stop-first)
  api/prepare
  api/holder < api/prepare
  api/create/shop-api-2-1 < api/holder
  api/start/shop-api-2-1 < api/create/shop-api-2-1
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  shift api=2[shop-api-2-1] < api/probe/shop-api-2-1
  api/drain/shop-api-1-1 < shift
  api/stop/shop-api-1-1 < api/drain/shop-api-1-1
  api/remove/shop-api-1-1 < api/stop/shop-api-1-1
`},
		{"a worker overlaps, and those who call it are drained", new(world).moves("worker"), `
shop/worker overlap 1→2: no published port: old and new overlap, the old one ends in its own time
  worker/prepare
  worker/holder < worker/prepare
  worker/create/shop-worker-2-1 < worker/holder
  worker/start/shop-worker-2-1 < worker/create/shop-worker-2-1
  worker/probe/shop-worker-2-1 < worker/start/shop-worker-2-1
  shift worker=2[shop-worker-2-1] < worker/probe/shop-worker-2-1
  worker/drain/shop-worker-1-1 < shift
  worker/stop/shop-worker-1-1 < worker/drain/shop-worker-1-1
  worker/remove/shop-worker-1-1 < worker/stop/shop-worker-1-1
`},
		{"one writer on a volume goes first, once all else is ready", new(world).moves("api", port(8000)).moves("db", port(5432), writes("data")), `
shop/api start-first 1→2: stateless: the new one stands beside the old one until it is ready (Compose's default would be stop-first)
shop/db hold 1→2: one replica writes to data
  api/prepare
  api/holder < api/prepare
  api/create/shop-api-2-1 < api/holder
  api/start/shop-api-2-1 < api/create/shop-api-2-1
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  db/prepare
  db/holder < db/prepare
  db/create/shop-db-2-1 < db/holder
  db/withdraw db=1[] held < api/probe/shop-api-2-1, db/create/shop-db-2-1
  db/drain/shop-db-1-1 < db/withdraw
  db/stop/shop-db-1-1 < db/drain/shop-db-1-1
  db/start/shop-db-2-1 < db/create/shop-db-2-1, db/stop/shop-db-1-1
  db/probe/shop-db-2-1 < db/start/shop-db-2-1
  db/shift db=2[shop-db-2-1] < db/probe/shop-db-2-1
  shift api=2[shop-api-2-1] < db/shift
  api/drain/shop-api-1-1 < shift
  api/stop/shop-api-1-1 < api/drain/shop-api-1-1
  api/remove/shop-api-1-1 < api/stop/shop-api-1-1
  db/remove/shop-db-1-1 < api/stop/shop-api-1-1
`},
		{"one at a time, with a delay and a watch window", new(world).moves("api", port(8000), replicas(2), order(steady.StartFirst), parallel(1), delay(time.Second), monitor(5*time.Second)), `
shop/api start-first 1→2: stateless: the new one stands beside the old one until it is ready
  api/prepare
  api/holder < api/prepare
  api/create/shop-api-2-1 < api/holder
  api/start/shop-api-2-1 < api/create/shop-api-2-1
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  shift api=2[shop-api-2-1 shop-api-1-2] < api/probe/shop-api-2-1
  api/watch/1 < shift
  api/delay/2 < api/watch/1, shift
  api/create/shop-api-2-2 < api/delay/2, api/holder
  api/start/shop-api-2-2 < api/create/shop-api-2-2, api/delay/2
  api/probe/shop-api-2-2 < api/start/shop-api-2-2
  api/shift/2 api=2[shop-api-2-1 shop-api-2-2] < api/probe/shop-api-2-2
  api/watch/2 < api/shift/2
  api/drain/shop-api-1-1 < api/watch/2
  api/stop/shop-api-1-1 < api/drain/shop-api-1-1
  api/drain/shop-api-1-2 < api/watch/2
  api/stop/shop-api-1-2 < api/drain/shop-api-1-2
  api/remove/shop-api-1-1 < api/stop/shop-api-1-1, api/stop/shop-api-1-2
  api/remove/shop-api-1-2 < api/stop/shop-api-1-1, api/stop/shop-api-1-2
`},
		{"a job completes before its dependents start", new(world).wants("migrate", job).wants("api", port(8000), needs("migrate")), `
shop/migrate job 0→2: other services wait until it has completed
shop/api start 0→2: nothing of it runs
  migrate/prepare
  migrate/create/shop-migrate-2-1 < migrate/prepare
  migrate/start/shop-migrate-2-1 < migrate/create/shop-migrate-2-1
  migrate/wait/shop-migrate-2-1 < migrate/start/shop-migrate-2-1
  api/prepare
  api/holder < api/prepare
  api/create/shop-api-2-1 < api/holder
  api/start/shop-api-2-1 < api/create/shop-api-2-1, migrate/wait/shop-migrate-2-1
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  api/shift api=2[shop-api-2-1] < api/probe/shop-api-2-1
  shift migrate=2[shop-migrate-2-1] < api/shift
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.w.plans(t, tt.want)
		})
	}
}

func TestBuild_UnchangedPlansNothing(t *testing.T) {
	w := new(world).moves("api", port(8000))
	w.in.Targets[0].Release = w.in.Serving["api"]
	p, err := plan.Build(w.in)
	if err != nil || p.Changes() || p.Services[0].Strategy != steady.StrategyKeep {
		t.Errorf("plan %v, %v: want nothing to do", p, err)
	}
}

func TestBuild_AnotherImageUnderTheSameTagIsAChange(t *testing.T) {
	w := new(world).moves("api", port(8000))
	r := w.in.Serving["api"]
	r.Number, r.Image = 2, steady.Image{}
	w.in.Targets[0].Release = r
	w.in.Observed.Images["shop/api"] = steady.Image{ID: "image-new"}
	if p, err := plan.Build(w.in); err != nil || !p.Changes() {
		t.Errorf("plan %v, %v: want a rollout", p, err)
	}
}

func TestBuild_MissingImageIsPulledOrBuilt(t *testing.T) {
	w := new(world).wants("api", port(8000))
	w.in.Targets[0].Release.Image = steady.Image{}
	p, err := plan.Build(w.in)
	if err != nil || p.Steps[0].Kind != steady.StepPull {
		t.Errorf("first step %+v, %v: want a pull", p.Steps, err)
	}
	w.in.Targets[0].Release.Spec.Build = &steady.Build{Context: "/src"}
	if p, err = plan.Build(w.in); err != nil || p.Steps[0].Kind != steady.StepBuild {
		t.Errorf("first step %+v, %v: want a build", p.Steps, err)
	}
	w.in.Targets[0].Release.Spec.Build = nil
	w.in.Targets[0].Release.Spec.PullPolicy = "never"
	if _, err = plan.Build(w.in); !errors.Is(err, steady.ErrNoImage) {
		t.Errorf("error %v: want ErrNoImage", err)
	}
}

func TestBuild_AnImageOfAnOlderReleaseThatIsGoneIsBrought(t *testing.T) {
	w := new(world).moves("api", port(8000))
	w.in.Targets[0].Release.Image.Digest = "example.org/api@sha256:1"
	w.in.Targets[0].Bring = steady.StepPull
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	if s := p.Steps[0]; s.ID != "api/pull" || !strings.Contains(s.Cause, "digest") {
		t.Errorf("first step %+v", s)
	}
	w.in.Targets[0].Bring = ""
	if p, err = plan.Build(w.in); err != nil || p.Steps[0].Kind == steady.StepPull {
		t.Errorf("pulled twice: %v\n%s", err, p)
	}
}

func TestBuild_DependencyThatRunsIsLeftAlone(t *testing.T) {
	w := new(world).moves("db", writes("data")).moves("api", port(8000), needs("db"))
	w.in.Targets[0].Asked = false
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		if s.Service == "db" {
			t.Errorf("step %s: db was not asked for", s.ID)
		}
	}
}

func TestBuild_ScalesWithinTheRelease(t *testing.T) {
	w := new(world).moves("api", port(8000), replicas(2))
	r := w.in.Serving["api"]
	r.Spec.Replicas = 3
	w.in.Targets[0].Release = r
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	want := `shop/api scale 1→1: same release, 2 of 3 replicas are there
  api/prepare
  api/holder < api/prepare
  api/create/shop-api-1-3 < api/holder
  api/start/shop-api-1-3 < api/create/shop-api-1-3
  api/probe/shop-api-1-3 < api/start/shop-api-1-3
  shift api=1[shop-api-1-1 shop-api-1-2 shop-api-1-3] < api/probe/shop-api-1-3
`
	if diff := cmp.Diff(want, p.String()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestBuild_UDPIsPublishedAsTCPIs(t *testing.T) {
	ports := func(s *steady.Spec) {
		s.Ports = []steady.Port{{Published: 53, Target: 53, Transport: "tcp"}, {Published: 53, Target: 53, Transport: "udp"}}
	}
	p, err := plan.Build(new(world).moves("dns", ports).in)
	if err != nil {
		t.Fatal(err)
	}
	if m := p.Services[0]; m.Strategy != steady.StrategyStartNew || m.Notice != "nothing" {
		t.Errorf("%s, %s", m.Strategy, m.Notice)
	}
	if !slices.ContainsFunc(p.Steps, func(s steady.Step) bool { return s.Kind == steady.StepDrain }) {
		t.Error("the old release's flows are not drained")
	}
}

func TestDown_StopsDependentsFirstAndCleansLast(t *testing.T) {
	w := new(world).moves("db", writes("data")).moves("api", port(8000), needs("db"))
	want := `shop/api remove 1→0: the project goes
shop/db remove 1→0: the project goes
  shift db=0[] api=0[]
  api/drain/shop-api-1-1 < shift
  api/stop/shop-api-1-1 < api/drain/shop-api-1-1
  db/drain/shop-db-1-1 < api/stop/shop-api-1-1, shift
  db/stop/shop-db-1-1 < db/drain/shop-db-1-1
  db/remove/shop-db-1-1 < api/stop/shop-api-1-1, db/stop/shop-db-1-1, shift
  api/remove/shop-api-1-1 < api/stop/shop-api-1-1, db/stop/shop-db-1-1, shift
  clean < api/remove/shop-api-1-1, db/remove/shop-db-1-1, shift
`
	if diff := cmp.Diff(want, plan.Down(w.in, false).String()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// plans checks that the world's plan is this one.
func (w *world) plans(t *testing.T, want string) {
	t.Helper()
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(p.String())); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	inOrder(t, p)
}

// inOrder checks that every step stands behind all it needs, and is there once.
func inOrder(t testing.TB, p steady.Plan) {
	t.Helper()
	seen := map[string]bool{}
	for _, s := range p.Steps {
		for _, n := range s.Needs {
			if !seen[n] {
				t.Errorf("%s needs %s, which does not stand before it", s.ID, n)
			}
		}
		if seen[s.ID] {
			t.Errorf("%s is planned twice", s.ID)
		}
		seen[s.ID] = true
	}
}

// steps lists the IDs of the plan's steps that one service has, in order.
func steps(t *testing.T, w *world, service string) []string {
	t.Helper()
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, p)
	var out []string
	for _, s := range p.Steps {
		if strings.HasPrefix(s.ID, service+"/") {
			out = append(out, s.ID)
		}
	}
	return out
}

func TestBuild_AnOldReleaseThatPublishesIsDrainedThoughTheNewOneDoesNot(t *testing.T) {
	for name, cs := range map[string][]change{"start-first": nil, "stop-first": {order(steady.StopFirst)}} {
		got := steps(t, new(world).wants("api", cs...).has("api", append(cs, port(8000))...), "api")
		if !slices.Contains(got, "api/drain/shop-api-1-1") {
			t.Errorf("%s: steps %v: the old one is stopped with requests in flight", name, got)
		}
		if slices.Contains(got, "api/withdraw") != (name == "stop-first") {
			t.Errorf("%s: steps %v", name, got)
		}
	}
}

func TestBuild_OnePoolNeverHoldsReplicasWithDifferentPorts(t *testing.T) {
	w := new(world).wants("api", port(9000), replicas(2), parallel(1), order(steady.StartFirst)).has("api", port(8000), replicas(2))
	if got := steps(t, w, "api"); slices.Contains(got, "api/shift/2") {
		t.Errorf("steps %v: want one batch", got)
	}
}

func TestBuild_TwoServicesOnOnePortAreRefused(t *testing.T) {
	at := func(host string) change { return func(s *steady.Spec) { s.Ports[0].HostIP = host } }
	for name, tt := range map[string]struct {
		w     *world
		taken bool
	}{
		"both wanted":            {new(world).wants("a", port(8000)).wants("b", port(8000)), true},
		"one serves already":     {new(world).wants("b", port(8000)).has("a", port(8000)), true},
		"every address and one":  {new(world).wants("a", port(8000)).wants("b", port(8000), at("127.0.0.1")), true},
		"two addresses":          {new(world).wants("a", port(8000), at("127.0.0.2")).wants("b", port(8000), at("127.0.0.1")), false},
		"the port changes hands": {new(world).wants("a").wants("b", port(8000)).has("a", port(8000)), false},
		"chosen by the proxy":    {new(world).wants("a", port(0)).wants("b", port(0)), false},
	} {
		if _, err := plan.Build(tt.w.in); errors.Is(err, steady.ErrPortTaken) != tt.taken {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestBuild_AnImageThatAnotherServiceBuildsIsNotPulled(t *testing.T) {
	w := new(world).moves("worker").moves("api", port(8000))
	for i := range w.in.Targets {
		r := &w.in.Targets[i].Release
		r.Image, r.Spec.Image = steady.Image{}, "shop/app"
	}
	w.in.Targets[1].Release.Spec.Build = &steady.Build{Context: "/src"}
	for name, prepare := range map[string]func(){
		"not there": func() {},
		"built anew": func() {
			w.in.Options.Build = true
			w.in.Observed.Images["shop/app"] = steady.Image{ID: "image-1"}
			w.in.Targets[0].Release.Digest = w.in.Serving["worker"].Digest
		},
	} {
		prepare()
		p, err := plan.Build(w.in)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Steps {
			if s.Kind == steady.StepPull || s.ID == "worker/prepare" && !slices.Equal(s.Needs, []string{"api/build"}) {
				t.Errorf("%s: step %s needs %v", name, s.ID, s.Needs)
			}
		}
		if m, _ := p.Of("worker"); m.Strategy == steady.StrategyKeep {
			t.Errorf("%s: worker keeps the old image: %+v", name, m)
		}
	}
}

func TestBuild_DependenciesComeFirstHoweverTheTargetsAreOrdered(t *testing.T) {
	w := new(world).wants("api", port(8000), needs("db")).wants("db")
	p, err := plan.Build(w.in)
	if err != nil || p.Services[0].Service != "db" {
		t.Errorf("plan %v, %v: want db first", p, err)
	}
}

func TestBuild_NoReplicaIsNoticed(t *testing.T) {
	w := new(world).moves("api", port(8000))
	r := w.in.Serving["api"]
	r.Spec.Replicas = 0
	w.in.Targets[0].Release = r
	p, err := plan.Build(w.in)
	if err != nil || p.Services[0].Notice == "nothing" || p.Services[0].Notice == "" {
		t.Errorf("plan %+v, %v: visitors notice that nobody answers", p.Services, err)
	}
}

func TestUndo_OfANewServiceLeavesTheNetworksOfOthers(t *testing.T) {
	w := new(world).wants("web", port(8080)).has("api", port(8000))
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range plan.Undo(p, map[string]bool{"web/prepare": true}).Steps {
		if s.Kind == steady.StepClean {
			t.Errorf("step %s, while api serves", s.ID)
		}
	}
}
