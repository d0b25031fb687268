package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// behind says whether a step comes only after another, by what they need.
func behind(p steady.Plan, step, other string) bool {
	i := slices.IndexFunc(p.Steps, func(s steady.Step) bool { return s.ID == step })
	return i >= 0 && slices.ContainsFunc(p.Steps[i].Needs, func(n string) bool { return n == other || behind(p, n, other) })
}

func of(p steady.Plan, kind string) []steady.Step {
	return slices.DeleteFunc(slices.Clone(p.Steps), func(s steady.Step) bool { return s.Kind != kind })
}

func TestBuild_AWholeStackIsOneMove(t *testing.T) {
	w := new(world).moves("api", port(8000), replicas(2), order(steady.StartFirst), parallel(1), monitor(time.Second)).moves("web", port(8080), monitor(time.Minute))
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, p)
	want := `shop/api start-first 1→2: stateless: the new one stands beside the old one until it is ready
shop/web start-first 1→2: stateless: the new one stands beside the old one until it is ready (Compose's default would be stop-first)
  api/prepare
  api/holder < api/prepare
  api/create/shop-api-2-1 < api/holder
  api/start/shop-api-2-1 < api/create/shop-api-2-1
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  web/prepare
  web/holder < web/prepare
  web/create/shop-web-2-1 < web/holder
  web/start/shop-web-2-1 < web/create/shop-web-2-1
  web/probe/shop-web-2-1 < web/start/shop-web-2-1
  shift api=2[shop-api-2-1 shop-api-1-2] web=2[shop-web-2-1] < api/probe/shop-api-2-1, web/probe/shop-web-2-1
  api/watch/1 < shift
  web/watch/1 < shift
  api/create/shop-api-2-2 < api/holder, api/watch/1, shift, web/watch/1
  api/start/shop-api-2-2 < api/create/shop-api-2-2, api/watch/1, shift, web/watch/1
  api/probe/shop-api-2-2 < api/start/shop-api-2-2
  api/shift/2 api=2[shop-api-2-1 shop-api-2-2] < api/probe/shop-api-2-2
  api/watch/2 < api/shift/2
  api/drain/shop-api-1-1 < api/watch/2
  api/stop/shop-api-1-1 < api/drain/shop-api-1-1
  api/drain/shop-api-1-2 < api/watch/2
  api/stop/shop-api-1-2 < api/drain/shop-api-1-2
  web/drain/shop-web-1-1 < api/watch/2
  web/stop/shop-web-1-1 < web/drain/shop-web-1-1
  api/remove/shop-api-1-1 < api/stop/shop-api-1-1, api/stop/shop-api-1-2, web/stop/shop-web-1-1
  api/remove/shop-api-1-2 < api/stop/shop-api-1-1, api/stop/shop-api-1-2, web/stop/shop-web-1-1
  web/remove/shop-web-1-1 < api/stop/shop-api-1-1, api/stop/shop-api-1-2, web/stop/shop-web-1-1
`
	if d := cmp.Diff(want, p.String()); d != "" {
		t.Errorf("plan (-want +got):\n%s", d)
	}
}

// A failure of the last batch takes the first one back too, and no other service
// waits for a container to start again.
func TestUndo_OfALaterBatchIsOneMoveOfAllServices(t *testing.T) {
	w := new(world).moves("api", port(8000), replicas(2), order(steady.StartFirst), parallel(1), monitor(time.Second)).moves("web", port(8080))
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	begun := map[string]bool{}
	for _, s := range p.Steps {
		if begun[s.ID] = true; s.ID == "api/watch/2" {
			break
		}
	}
	u := plan.Undo(p, begun)
	shifts := of(u, steady.StepShift)
	if len(shifts) != 1 || len(shifts[0].Routes) != 2 || shifts[0].Cause != plan.CauseServed || len(of(u, steady.StepStart)) > 0 {
		t.Errorf("undo:\n%s", u)
	}
}

// limited has replicas with a memory limit run and wanted.
func limited(w *world, bytes int64) {
	for i := range w.in.Targets {
		hosted(&w.in.Targets[i].Release.Spec, "Memory", bytes)
	}
	for i := range w.in.Observed.Replicas {
		w.in.Observed.Replicas[i].Limits.Memory = bytes
	}
}

// Where limits say that memory has no room for all old and all new at once, each
// batch's old ones go before the next batch comes, and only then.
func TestBuild_WithoutRoomABatchsOldReplicasGoBeforeTheNextComes(t *testing.T) {
	for name, tt := range map[string]struct {
		host, each int64
		early      bool
	}{
		"room to the byte":      {host: 5 * 64, each: 64},
		"one byte short":        {host: 5*64 - 1, each: 64, early: true},
		"no limits":             {host: 1, each: 0},
		"a host that says none": {host: 0, each: 64},
	} {
		w := new(world).moves("api", port(8000), replicas(2), order(steady.StartFirst), parallel(1), monitor(time.Second)).moves("web", port(8080), monitor(time.Minute))
		w.in.Targets[1].Release = w.in.Serving["web"] // stays: its one replica counts once
		limited(w, tt.each)
		w.in.Observed.Memory = tt.host
		p, err := plan.Build(w.in)
		if err != nil {
			t.Fatal(err)
		}
		inOrder(t, p)
		if got := behind(p, "api/create/shop-api-2-2", "api/stop/shop-api-1-1"); got != tt.early {
			t.Errorf("%s: the first batch's old one goes early: %t\n%s", name, got, p)
		}
		if stops := of(p, steady.StepStop); tt.early != strings.Contains(stops[0].Cause, "no room") {
			t.Errorf("%s: the first stop's cause is %q", name, stops[0].Cause)
		}
		if n := strings.Count(p.String(), "api/stop/shop-api-1-1 <"); n != 1 {
			t.Errorf("%s: stopped %d times\n%s", name, n, p)
		}
		if !behind(p, "api/stop/shop-api-1-2", "api/watch/2") {
			t.Errorf("%s: the last one is stopped early\n%s", name, p)
		}
	}
}
