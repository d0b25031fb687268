package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// only says that the Compose files have the services that are wanted, and no other.
func (w *world) only(others ...string) *world {
	w.in.Kind = steady.KindDeploy
	w.in.Options.Declared = others
	for _, t := range w.in.Targets {
		w.in.Options.Declared = append(w.in.Options.Declared, t.Release.Service)
	}
	return w
}

func (w *world) removing() *world {
	w.in.Options.RemoveOrphans = true
	return w
}

// made has a container of Docker Compose's run.
func (w *world) made(service string, ports []steady.Port, volumes ...string) *world {
	r := steady.Replica{ID: "shop-" + service + "-1", Name: "shop-" + service + "-1", Service: service, Number: 1, State: steady.StateRunning, Published: ports}
	for _, v := range volumes {
		r.Volumes = append(r.Volumes, steady.MountedVolume{Path: "/data", Name: v})
	}
	w.in.Observed.Replicas = append(w.in.Observed.Replicas, r)
	return w
}

func ports(of ...uint16) []steady.Port {
	var s steady.Spec
	var out []steady.Port
	for _, p := range of {
		port(p)(&s)
		out = append(out, s.Ports...)
	}
	return out
}

func published(of ...uint16) change { return func(s *steady.Spec) { s.Ports = ports(of...) } }

func TestOrphans_TheirPlans(t *testing.T) {
	for _, tt := range []struct {
		name string
		w    *world
		want string
	}{
		{"an orphan goes on, and is named", new(world).moves("api", port(8000)).has("old", port(9000)).only(), `
shop/api start-first 1→2: stateless: the new one stands beside the old one until it is ready (Compose's default would be stop-first)
shop/old unchanged 1→1: not in the Compose file any more: steady deploy --remove-orphans, or steady down old, removes it
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
		{"a renamed service has its port from the common shift on, and not from its own", new(world).wants("site", port(8000)).has("web", port(8000)).only(), `
shop/site start 0→2: nothing of it runs
shop/web hand-over 1→1: not in the Compose file any more: it goes on without what others take over; steady deploy --remove-orphans, or steady down web, removes it
  site/prepare
  site/holder < site/prepare
  site/create/shop-site-2-1 < site/holder
  site/start/shop-site-2-1 < site/create/shop-site-2-1
  site/probe/shop-site-2-1 < site/start/shop-site-2-1
  site/shift site=2[shop-site-2-1] < site/probe/shop-site-2-1
  shift site=2[shop-site-2-1] web=1[shop-web-1-1] < site/shift
`},
		{"an orphan that goes leaves once all is watched", new(world).wants("site", port(8000), monitor(time.Second)).has("web", published(8000, 8001)).only().removing(), `
shop/site start 0→2: nothing of it runs
shop/web remove 1→0: not in the Compose file any more, and --remove-orphans
  site/prepare
  site/holder < site/prepare
  site/create/shop-site-2-1 < site/holder
  site/start/shop-site-2-1 < site/create/shop-site-2-1
  site/probe/shop-site-2-1 < site/start/shop-site-2-1
  site/shift site=2[shop-site-2-1] < site/probe/shop-site-2-1
  shift site=2[shop-site-2-1] web=1[shop-web-1-1] < site/shift
  site/watch/1 < shift
  orphans web=0[] < site/watch/1
  web/drain/shop-web-1-1 < orphans
  web/stop/shop-web-1-1 < web/drain/shop-web-1-1
  web/remove/shop-web-1-1 < web/stop/shop-web-1-1
  web/forget < web/remove/shop-web-1-1, web/stop/shop-web-1-1
`},
		{"a renamed database waits for the old one's end, and what comes waits with it", new(world).wants("database", port(5432), writes("data")).has("db", port(5432), writes("data")).only().removing(), `
shop/database hold 0→2: db, which it takes the place of, writes to the same volume
shop/db remove 1→0: not in the Compose file any more: database takes its place, and only one of them may write to data
  database/prepare
  database/holder < database/prepare
  database/create/shop-database-2-1 < database/holder
  database/withdraw database=2[] held db=1[] < database/create/shop-database-2-1
  db/drain/shop-db-1-1 < database/withdraw
  db/stop/shop-db-1-1 < db/drain/shop-db-1-1
  database/start/shop-database-2-1 < database/create/shop-database-2-1, db/stop/shop-db-1-1
  database/probe/shop-database-2-1 < database/start/shop-database-2-1
  database/shift database=2[shop-database-2-1] < database/probe/shop-database-2-1
  orphans db=0[] < database/shift
  db/remove/shop-db-1-1 < orphans
  db/forget < db/remove/shop-db-1-1, orphans
`},
		{"a container of Docker Compose's is taken over under another name", new(world).wants("site", port(8000)).made("web", ports(8000)).only().removing(), `
shop/site adopt 0→2: a container that Docker Compose made publishes the port itself; from then on steady does
shop/web remove 0→0: not in the Compose file any more: site takes its place
  site/prepare
  site/create/shop-site-2-1 < site/prepare
  site/start/shop-site-2-1 < site/create/shop-site-2-1
  site/probe/shop-site-2-1 < site/start/shop-site-2-1
  site/holder < site/probe/shop-site-2-1
  shift site=2[shop-site-2-1] < site/holder
  site/drain/shop-web-1 < shift
  site/stop/shop-web-1 < site/drain/shop-web-1
  site/bind site=2[shop-site-2-1] < site/stop/shop-web-1
  site/remove/shop-web-1 < site/bind
  web/forget < site/bind
`},
		{"a port that moves between two that stand beside their old ones", new(world).wants("a", port(81)).has("a", port(80)).wants("b", port(80)).has("b").only(), `
shop/a start-first 1→2: stateless: the new one stands beside the old one until it is ready (Compose's default would be stop-first)
shop/b start-first 1→2: stateless: the new one stands beside the old one until it is ready (Compose's default would be stop-first)
  a/prepare
  a/holder < a/prepare
  a/create/shop-a-2-1 < a/holder
  a/start/shop-a-2-1 < a/create/shop-a-2-1
  a/probe/shop-a-2-1 < a/start/shop-a-2-1
  b/prepare
  b/holder < b/prepare
  b/create/shop-b-2-1 < b/holder
  b/start/shop-b-2-1 < b/create/shop-b-2-1
  b/probe/shop-b-2-1 < b/start/shop-b-2-1
  shift a=2[shop-a-2-1] b=2[shop-b-2-1] < a/probe/shop-a-2-1, b/probe/shop-b-2-1
  a/drain/shop-a-1-1 < shift
  a/stop/shop-a-1-1 < a/drain/shop-a-1-1
  b/drain/shop-b-1-1 < shift
  b/stop/shop-b-1-1 < b/drain/shop-b-1-1
  a/remove/shop-a-1-1 < a/stop/shop-a-1-1, b/stop/shop-b-1-1
  b/remove/shop-b-1-1 < a/stop/shop-a-1-1, b/stop/shop-b-1-1
`},
		{"a port that moves to one that nothing runs of", new(world).wants("a", port(81)).has("a", port(80)).wants("b", port(80)).only(), `
shop/a start-first 1→2: stateless: the new one stands beside the old one until it is ready (Compose's default would be stop-first)
shop/b start 0→2: nothing of it runs
  a/prepare
  a/holder < a/prepare
  a/create/shop-a-2-1 < a/holder
  a/start/shop-a-2-1 < a/create/shop-a-2-1
  a/probe/shop-a-2-1 < a/start/shop-a-2-1
  b/prepare
  b/holder < b/prepare
  b/create/shop-b-2-1 < b/holder
  b/start/shop-b-2-1 < b/create/shop-b-2-1
  b/probe/shop-b-2-1 < b/start/shop-b-2-1
  b/shift b=2[shop-b-2-1] < b/probe/shop-b-2-1
  shift a=2[shop-a-2-1] b=2[shop-b-2-1] < a/probe/shop-a-2-1, b/shift
  a/drain/shop-a-1-1 < shift
  a/stop/shop-a-1-1 < a/drain/shop-a-1-1
  a/remove/shop-a-1-1 < a/stop/shop-a-1-1
`},
		{"a port that leaves one that is replaced old first: it leaves before that", new(world).wants("a", writes("data")).has("a", port(80), writes("data")).wants("b", port(80)).only(), `
shop/a hold 1→2: one replica writes to data
shop/b start 0→2: nothing of it runs
  a/prepare
  a/holder < a/prepare
  a/create/shop-a-2-1 < a/holder
  b/prepare
  b/holder < b/prepare
  b/create/shop-b-2-1 < b/holder
  b/start/shop-b-2-1 < b/create/shop-b-2-1
  b/probe/shop-b-2-1 < b/start/shop-b-2-1
  b/shift b=2[shop-b-2-1] < b/probe/shop-b-2-1
  shift b=2[shop-b-2-1] a=1[shop-a-1-1] < a/create/shop-a-2-1, b/shift
  a/withdraw a=1[] held < shift
  a/drain/shop-a-1-1 < a/withdraw
  a/stop/shop-a-1-1 < a/drain/shop-a-1-1
  a/start/shop-a-2-1 < a/create/shop-a-2-1, a/stop/shop-a-1-1
  a/probe/shop-a-2-1 < a/start/shop-a-2-1
  a/shift a=2[shop-a-2-1] < a/probe/shop-a-2-1
  a/remove/shop-a-1-1 < a/shift
`},
		{"a port that moves between two that are replaced old first", new(world).wants("a", writes("data")).has("a", port(80), writes("data")).wants("b", port(80), writes("more")).has("b", writes("more")).only(), `
shop/a hold 1→2: one replica writes to data
shop/b hold 1→2: one replica writes to more
  a/prepare
  a/holder < a/prepare
  a/create/shop-a-2-1 < a/holder
  b/prepare
  b/holder < b/prepare
  b/create/shop-b-2-1 < b/holder
  b/withdraw b=1[] held < a/create/shop-a-2-1, b/create/shop-b-2-1
  b/drain/shop-b-1-1 < b/withdraw
  b/stop/shop-b-1-1 < b/drain/shop-b-1-1
  b/start/shop-b-2-1 < b/create/shop-b-2-1, b/stop/shop-b-1-1
  b/probe/shop-b-2-1 < b/start/shop-b-2-1
  b/shift b=2[shop-b-2-1] a=1[shop-a-1-1] < b/probe/shop-b-2-1
  a/withdraw a=1[] held < a/create/shop-a-2-1, b/create/shop-b-2-1, b/shift
  a/drain/shop-a-1-1 < a/withdraw
  a/stop/shop-a-1-1 < a/drain/shop-a-1-1
  a/start/shop-a-2-1 < a/create/shop-a-2-1, a/stop/shop-a-1-1
  a/probe/shop-a-2-1 < a/start/shop-a-2-1
  a/shift a=2[shop-a-2-1] < a/probe/shop-a-2-1
  a/remove/shop-a-1-1 < a/shift
  b/remove/shop-b-1-1 < a/shift
`},
		{"the old name is back: its port comes back to what still runs", new(world).has2("web", port(8000)).has("site", port(8000)).only(), `
shop/web scale 1→1: same release, 1 of 1 replicas are there, port 8000 comes back to it
shop/site hand-over 1→1: not in the Compose file any more: it goes on without what others take over; steady deploy --remove-orphans, or steady down site, removes it
  web/prepare
  web/holder < web/prepare
  shift web=1[shop-web-1-1] site=1[shop-site-1-1] < web/holder
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := plan.Build(tt.w.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), p.String()); diff != "" {
				t.Errorf("plan (-want +got):\n%s\n%s", diff, p.String())
			}
		})
	}
}

// has2 is a service whose release 1 runs and is wanted, without the addresses that it is to have.
func (w *world) has2(service string, cs ...change) *world {
	w.wants(service, cs...).has(service, cs...)
	w.in.Targets[len(w.in.Targets)-1].Release = w.in.Serving[service]
	w.in.Routes[len(w.in.Routes)-1].Ports = nil
	return w
}
