package plan_test

import (
	"slices"
	"strings"
	"testing"

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
