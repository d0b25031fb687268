package plan_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// within has a service live in the network of another, as Compose writes it.
func within(service string) change {
	return func(s *steady.Spec) {
		network("container:shop-" + service + "-1")(s)
		s.NetworkMode = "service:" + service
		s.DependsOn = append(s.DependsOn, steady.Dependency{Service: service, Condition: "service_started", Required: true})
	}
}

func volumesFrom(entries ...string) change {
	return func(s *steady.Spec) { hosted(s, "VolumesFrom", entries) }
}

// namespaces are those that containers have of others, in a simulated rollout.
type namespaces struct {
	starts map[string]int            // container → how often it was started
	of     map[string][]string       // container → those whose namespaces it is to have
	joined map[string]map[string]int // container → as which of their starts it has them
}

// namespacesOf are those of what runs: each container has what the first replica of the
// release that serves has.
func namespacesOf(in plan.Input) namespaces {
	n := namespaces{starts: map[string]int{}, of: map[string][]string{}, joined: map[string]map[string]int{}}
	var specs []steady.Spec
	for _, r := range in.Serving {
		specs = append(specs, r.Spec)
	}
	for _, c := range in.Observed.Replicas {
		for _, sh := range in.Serving[c.Service].Spec.Shares(specs) {
			host := "shop-" + sh.Service + "-1-1"
			if h, ok := in.Observed.Named(host); c.Release == 1 && c.Number < 9 && c.Running() && ok && h.Running() {
				n.of[c.Name] = append(n.of[c.Name], host)
				n.joined[c.Name] = map[string]int{host: 0}
			}
		}
	}
	return n
}

// made notes whose namespaces a container is to have: of one that is there.
func (n namespaces) made(t *rapid.T, p steady.Plan, st steady.Step, run map[string]bool) {
	for _, host := range st.Shares {
		if _, there := run[host]; !there {
			t.Fatalf("%s shares with %s, which is not there\n%s", st.ID, host, p)
		}
		if !slices.Contains(n.of[st.Replica], host) {
			n.of[st.Replica] = append(n.of[st.Replica], host)
		}
	}
}

func (n namespaces) started(t *rapid.T, p steady.Plan, st steady.Step, run map[string]bool) {
	if run[st.Replica] {
		return
	}
	n.starts[st.Replica]++
	n.joined[st.Replica] = map[string]int{}
	for _, host := range n.of[st.Replica] {
		if !run[host] {
			t.Fatalf("%s: it shares with %s, which does not run\n%s", st.ID, host, p)
		}
		n.joined[st.Replica][host] = n.starts[host]
	}
}

// stopped checks that no namespace is taken from under a container.
func (n namespaces) stopped(t *rapid.T, p steady.Plan, st steady.Step, run map[string]bool) {
	if !run[st.Replica] {
		return
	}
	for name, hosts := range n.of {
		if run[name] && slices.Contains(hosts, st.Replica) {
			t.Fatalf("%s takes from %s what it shares\n%s", st.ID, name, p)
		}
	}
}

// whole checks that what runs has the namespaces that there are now.
func (n namespaces) whole(t *rapid.T, p steady.Plan, run map[string]bool) {
	for name, hosts := range n.joined {
		for host, start := range hosts {
			if run[name] && (!run[host] || n.starts[host] != start) {
				t.Fatalf("%s has what %s had at its start %d, and that runs (%v) since its start %d\n%s", name, host, start, run[host], n.starts[host], p)
			}
		}
	}
}

// sharing has a service share with one before it, which has one replica then.
func sharing(t *rapid.T, w *world, with int) []change {
	lender := &w.in.Targets[with].Release.Spec
	if lender.Job {
		return nil
	}
	kind := rapid.SampledFrom([]change{within(lender.Service), volumesFrom("shop-" + lender.Service + "-1"), volumesFrom("shop-" + lender.Service + "-1:ro"),
		func(s *steady.Spec) { hosted(s, "IpcMode", "container:shop-"+lender.Service+"-1") }}).Draw(t, "shared")
	lender.Replicas = 1
	return []change{kind, needs(lender.Service), func(s *steady.Spec) {
		if s.NetworkMode != "" {
			s.Ports = nil
		}
	}}
}

func built(t *testing.T, w *world) steady.Plan {
	t.Helper()
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// same has every target be what serves, but for those named.
func (w *world) same(but ...string) *world {
	for i, tg := range w.in.Targets {
		if !slices.Contains(but, tg.Release.Service) {
			w.in.Targets[i].Release = w.in.Serving[tg.Release.Service]
			w.in.Targets[i].Release.Number = 2
		}
	}
	return w
}

func TestBuild_WhatSharesIsReplacedWithWhatItSharesWith(t *testing.T) {
	for _, tt := range []struct {
		name string
		w    *world
		want string
	}{
		{"first deploy: the container to share with runs first, and its ports are asked for last", new(world).wants("vpn", port(8080)).wants("app", within("vpn")), `
shop/vpn start 0→2: nothing of it runs
shop/app start 0→2: nothing of it runs
  vpn/prepare
  vpn/holder < vpn/prepare
  vpn/create/shop-vpn-2-1 < vpn/holder
  vpn/start/shop-vpn-2-1 < vpn/create/shop-vpn-2-1
  vpn/probe/shop-vpn-2-1 < vpn/start/shop-vpn-2-1
  vpn/shift vpn=2[shop-vpn-2-1] < vpn/probe/shop-vpn-2-1
  app/prepare
  app/create/shop-app-2-1 < app/prepare, vpn/create/shop-vpn-2-1
  app/start/shop-app-2-1 < app/create/shop-app-2-1, vpn/probe/shop-vpn-2-1, vpn/shift
  app/probe/shop-app-2-1 < app/start/shop-app-2-1
  vpn/reach/shop-vpn-2-1 < app/probe/shop-app-2-1, vpn/probe/shop-vpn-2-1
  shift app=2[shop-app-2-1] < vpn/reach/shop-vpn-2-1, vpn/shift
`},
		{"stateless: a new pair beside the old one", new(world).moves("vpn", port(8080)).moves("app", within("vpn")).same("vpn"), `
shop/vpn start-first 1→2: stateless: the new one stands beside the old one until it is ready (Compose's default would be stop-first)
shop/app overlap 1→2: it shares vpn's network and is replaced with it; no published port: old and new overlap, the old one ends in its own time
  vpn/prepare
  vpn/holder < vpn/prepare
  vpn/create/shop-vpn-2-1 < vpn/holder
  vpn/start/shop-vpn-2-1 < vpn/create/shop-vpn-2-1
  vpn/probe/shop-vpn-2-1 < vpn/start/shop-vpn-2-1
  app/prepare
  app/create/shop-app-2-1 < app/prepare, vpn/create/shop-vpn-2-1
  app/start/shop-app-2-1 < app/create/shop-app-2-1, vpn/probe/shop-vpn-2-1
  app/probe/shop-app-2-1 < app/start/shop-app-2-1
  vpn/reach/shop-vpn-2-1 < app/probe/shop-app-2-1, vpn/probe/shop-vpn-2-1
  shift vpn=2[shop-vpn-2-1] app=2[shop-app-2-1] < vpn/reach/shop-vpn-2-1
  vpn/drain/shop-vpn-1-1 < shift
  app/stop/shop-app-1-1 < shift, vpn/drain/shop-vpn-1-1
  vpn/stop/shop-vpn-1-1 < app/stop/shop-app-1-1, shift, vpn/drain/shop-vpn-1-1
  vpn/remove/shop-vpn-1-1 < vpn/stop/shop-vpn-1-1
  app/remove/shop-app-1-1 < vpn/stop/shop-vpn-1-1
`},
		{"one that writes goes first, and so does what it shares with", new(world).moves("vpn", port(8080)).moves("app", within("vpn"), writes("data")).same("vpn"), `
shop/vpn hold 1→2: app: one replica writes to data; app is replaced with it, as they share
shop/app stop-first 1→2: it shares vpn's network and is replaced with it; one replica writes to data
  vpn/prepare
  vpn/holder < vpn/prepare
  vpn/create/shop-vpn-2-1 < vpn/holder
  app/prepare
  app/create/shop-app-2-1 < app/prepare, vpn/create/shop-vpn-2-1
  vpn/withdraw vpn=1[] held < app/create/shop-app-2-1
  vpn/drain/shop-vpn-1-1 < vpn/withdraw
  app/stop/shop-app-1-1 < vpn/drain/shop-vpn-1-1, vpn/withdraw
  vpn/stop/shop-vpn-1-1 < app/stop/shop-app-1-1, vpn/drain/shop-vpn-1-1, vpn/withdraw
  vpn/start/shop-vpn-2-1 < app/stop/shop-app-1-1, vpn/create/shop-vpn-2-1, vpn/stop/shop-vpn-1-1
  vpn/probe/shop-vpn-2-1 < vpn/start/shop-vpn-2-1
  app/start/shop-app-2-1 < app/create/shop-app-2-1, app/stop/shop-app-1-1, vpn/probe/shop-vpn-2-1, vpn/stop/shop-vpn-1-1
  app/probe/shop-app-2-1 < app/start/shop-app-2-1
  vpn/reach/shop-vpn-2-1 < app/probe/shop-app-2-1, vpn/probe/shop-vpn-2-1
  vpn/shift vpn=2[shop-vpn-2-1] app=2[shop-app-2-1] < app/probe/shop-app-2-1, vpn/probe/shop-vpn-2-1, vpn/reach/shop-vpn-2-1
  vpn/remove/shop-vpn-1-1 < vpn/shift
  app/remove/shop-app-1-1 < vpn/shift
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, want := built(t, tt.w).String(), strings.TrimPrefix(tt.want, "\n"); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// fronted checks that visitors of a port wait while nothing opens it, or what does goes.
func (s *sim) fronted(t *rapid.T, p steady.Plan, st steady.Step) {
	if s.front == "" || s.routes[s.front].Hold != nil || st.Kind == steady.StepStop && !s.run[st.Replica] {
		return
	}
	for name, runs := range s.run {
		if runs && strings.HasPrefix(name, "shop-app-") && (st.Kind != steady.StepStop || st.Replica != name) {
			return
		}
	}
	t.Fatalf("%s: the gate of %s is open, and nothing opens its port\n%s", st.ID, s.front, p)
}

// pair is a VPN that stays and an app in its network that opens its port and is to be
// replaced.
func pair(cs ...change) *world {
	w := new(world).moves("vpn", port(8080)).moves("app", append([]change{within("vpn")}, cs...)...)
	w.in.Targets[0].Release = w.in.Serving["vpn"]
	for i := range w.in.Observed.Replicas {
		if w.in.Observed.Replicas[i].Service == "app" {
			w.in.Observed.Replicas[i].Exposed = []uint16{8080}
		}
	}
	return w
}

func TestPlan_VisitorsWaitWhileTheAppInTheNetworkIsReplaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var cs []change
		if rapid.Bool().Draw(t, "writes") {
			cs = append(cs, writes("data"))
		}
		if rapid.Bool().Draw(t, "watched") {
			cs = append(cs, monitor(time.Second))
		}
		w := pair(cs...)
		p, err := plan.Build(w.in)
		if err != nil {
			t.Fatal(err)
		}
		s := newSim(w.in)
		s.front = "vpn"
		before, routes := maps.Clone(s.run), maps.Clone(s.routes)
		s.play(t, p, -1)
		if r := s.routes["vpn"]; r.Hold != nil || r.Release != 1 || !slices.Equal(r.Replicas, []string{"shop-vpn-1-1"}) {
			t.Fatalf("vpn's route is %+v\n%s", r, p)
		}
		s = newSim(w.in)
		s.front = "vpn"
		last := slices.IndexFunc(p.Steps, func(st steady.Step) bool { return st.Kind == steady.StepRemove })
		s.play(t, p, rapid.IntRange(0, last-1).Draw(t, "dies at"))
		back := plan.Undo(p, s.begun)
		s.play(t, back, -1)
		if !maps.Equal(s.run, before) || s.routes["vpn"].Hold != nil || !slices.Equal(s.routes["vpn"].Replicas, routes["vpn"].Replicas) {
			t.Fatalf("containers %v, want %v; vpn's route is %+v\n%s\nundo:\n%s", s.run, before, s.routes["vpn"], p, back)
		}
	})
}

func TestBuild_WaitsAtTheHostOfWhatIsReplacedAlone(t *testing.T) {
	want := strings.TrimPrefix(`
shop/vpn unchanged 1→1: same files, same environment, same image
shop/app hold 1→2: it lives in the network of vpn, which stays
  app/prepare
  app/create/shop-app-2-1 < app/prepare
  app/withdraw vpn=1[] held < app/create/shop-app-2-1
  app/drain/shop-vpn-1-1 < app/withdraw
  app/stop/shop-app-1-1 < app/drain/shop-vpn-1-1
  app/start/shop-app-2-1 < app/create/shop-app-2-1, app/stop/shop-app-1-1
  app/probe/shop-app-2-1 < app/start/shop-app-2-1
  app/reach/shop-vpn-1-1 < app/probe/shop-app-2-1
  app/shift app=2[shop-app-2-1] vpn=1[shop-vpn-1-1] < app/probe/shop-app-2-1, app/reach/shop-vpn-1-1
  app/remove/shop-app-1-1 < app/shift
`, "\n")
	if got := built(t, pair()).String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	// One that opens none of the ports, as an agent beside the app, is waited for by nobody.
	w := pair()
	w.in.Observed.Replicas[1].Exposed = []uint16{9100}
	if p := built(t, w); p.Services[1].Strategy != steady.StrategyStopFirst || strings.Contains(p.String(), "held") {
		t.Errorf("an agent holds visitors:\n%s", p)
	}
}

func TestFollowers_ComeAsWhatServes(t *testing.T) {
	w := new(world).moves("vpn", port(8080)).has("app", within("vpn")).has("agent", within("app")).has("web", port(80))
	got := map[string]plan.Target{}
	for _, tg := range plan.Followers(w.in.Targets, w.in.Serving) {
		got[tg.Release.Service] = tg
	}
	if len(got) != 3 || got["app"].Release.Number != 0 || got["app"].Asked || got["agent"].Release.Image.ID != "image-1" {
		t.Errorf("%+v", got)
	}
	// What shares is replaced alone, and what it shares with stays: as a target that does.
	w = new(world).wants("app", within("vpn")).has("app", within("vpn")).has("vpn", port(8080))
	all := plan.Followers(w.in.Targets, w.in.Serving)
	if len(all) != 2 || all[1].Release.Service != "vpn" || all[1].Release.Number != 1 {
		t.Errorf("%+v", all)
	}
}

func TestBuild_RefusesWhatCannotBeShared(t *testing.T) {
	for name, c := range map[string]struct {
		w    *world
		says string
	}{
		"a circle":         {new(world).wants("a", within("b")).wants("b", within("a")), "b, a share their namespaces or volumes in a circle"},
		"several replicas": {new(world).wants("vpn", replicas(2)).wants("app", within("vpn")), "app shares the network of vpn, which has 2 replicas"},
		"nothing to share with": {func() *world {
			w := new(world).moves("vpn")
			w.in.Targets = nil
			w.wants("app", within("vpn"))
			w.in.Observed.Replicas = nil
			return w
		}(), "app shares the network of vpn, and nothing of vpn runs"},
	} {
		_, err := plan.Build(c.w.in)
		if e := steady.AsError(err); err == nil || !strings.Contains(e.Text, c.says) || e.Hint == "" {
			t.Errorf("%s: %v, want %q and a hint", name, err, c.says)
		}
	}
}

func TestBuild_WhatSharesVolumesHoldsThem(t *testing.T) {
	for name, c := range map[string]struct {
		w     *world
		cause string
	}{
		"a writer":                  {new(world).moves("db", sourceless("/data")).moves("app", volumesFrom("shop-db-1")), "one replica writes to the anonymous volume /data"},
		"a writer, replaced alone":  {new(world).moves("db", sourceless("/data")).moves("app", volumesFrom("shop-db-1")).same("app"), "one replica writes to the anonymous volume /data"},
		"a reader follows a writer": {new(world).moves("db", sourceless("/data")).moves("app", volumesFrom("shop-db-1:ro")), "it shares db's volumes and is replaced with it"},
	} {
		p := built(t, c.w.mounted("db", "/data", hexed("a")))
		if m := p.Services[1]; m.Strategy != steady.StrategyHold || !strings.Contains(m.Cause, c.cause) {
			t.Errorf("%s: %s, %s", name, m.Strategy, m.Cause)
		}
	}
}
