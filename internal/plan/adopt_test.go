package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// composed has containers that docker compose up made run in the service's place.
func (w *world) composed(service string, p uint16) *world {
	w.in.Observed.Replicas = append(w.in.Observed.Replicas, steady.Replica{ID: service, Name: "shop-" + service + "-1", Service: service,
		Number: 1, State: steady.StateRunning, Published: []steady.Port{{Published: p, Target: p, Transport: "tcp"}}})
	return w
}

func TestBuild_TakesOverWhatComposeRuns(t *testing.T) {
	w := new(world).wants("db", port(5432), writes("data")).wants("api", port(8000)).composed("db", 5432).composed("api", 8000)
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	want := `
shop/db stop-first 0→2: one replica writes to data
shop/api adopt 0→2: a container that Docker Compose made publishes the port itself; from then on steady does
  db/prepare
  db/create/shop-db-2-1 < db/prepare
  api/prepare
  api/create/shop-api-2-1 < api/prepare
  api/start/shop-api-2-1 < api/create/shop-api-2-1
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  db/stop/shop-db-1 < api/probe/shop-api-2-1, db/create/shop-db-2-1
  db/holder < db/stop/shop-db-1
  db/start/shop-db-2-1 < db/create/shop-db-2-1, db/holder
  db/probe/shop-db-2-1 < db/start/shop-db-2-1
  db/shift db=2[shop-db-2-1] < db/probe/shop-db-2-1
  api/holder < db/shift
  shift api=2[shop-api-2-1] < api/holder, db/shift
  api/drain/shop-api-1 < shift
  api/stop/shop-api-1 < api/drain/shop-api-1
  api/bind api=2[shop-api-2-1] < api/stop/shop-api-1
  db/remove/shop-db-1 < api/bind
  api/remove/shop-api-1 < api/bind
`
	if d := cmp.Diff(strings.TrimPrefix(want, "\n"), p.String()); d != "" {
		t.Errorf("plan (-want +got):\n%s", d)
	}
	for _, s := range p.Steps {
		if s.ID == "shift" && !s.Routes[0].Redirect || s.ID == "api/bind" && s.Routes[0].Redirect || s.ID == "api/drain/shop-api-1" && !s.Direct {
			t.Errorf("%s: %+v", s.ID, s)
		}
	}
}

// The way back starts the old container while the redirect still leads to the new
// one, and lets go of the port first only where it has been bound.
func TestUndo_GivesThePortBack(t *testing.T) {
	w := new(world).wants("api", port(8000)).composed("api", 8000)
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	begun := map[string]bool{}
	for _, s := range p.Steps {
		begun[s.ID] = true
		u := plan.Undo(p, begun)
		id := func(want string) int {
			return slices.IndexFunc(u.Steps, func(s steady.Step) bool { return s.ID == want })
		}
		if s.ID == "api/bind" && id("undo/api/withdraw") != 0 {
			t.Errorf("after %s:\n%s", s.ID, u)
		}
		if s.ID == "api/stop/shop-api-1" && (id("undo/api/withdraw") >= 0 || id("undo/api/start/shop-api-1") > id("undo/api/shift")) {
			t.Errorf("after %s:\n%s", s.ID, u)
		}
		if begun["api/holder"] != (id("undo/api/forget") > 0) {
			t.Errorf("after %s:\n%s", s.ID, u)
		}
	}
}

// An adoption was left half-way, as failure_action pause has it: the release serves
// beside the old container, which still publishes the port.
func TestBuild_GoesOnWithAnAdoptionLeftHalfWay(t *testing.T) {
	w := new(world).moves("api", port(8000))
	w.in.Targets[0].Release = w.in.Serving["api"]
	w.in.Routes[0].Redirect = true
	for _, there := range []bool{true, false} {
		if there {
			w.composed("api", 8000)
		} else {
			w.in.Observed.Replicas = w.in.Observed.Replicas[:1]
		}
		p, err := plan.Build(w.in)
		if err != nil {
			t.Fatal(err)
		}
		last := -1
		for i, s := range p.Steps {
			if s.Kind != steady.StepShift {
				continue
			}
			last = i
			stop := slices.IndexFunc(p.Steps, func(x steady.Step) bool { return x.ID == "api/stop/shop-api-1" })
			if before := stop > i; s.Routes[0].Redirect != before {
				t.Errorf("%s: redirect %v\n%s", s.ID, !before, p)
			}
		}
		if last < 0 || p.Steps[last].Routes[0].Redirect || there != (p.Steps[last].ID == "api/bind") {
			t.Errorf("the port stays redirected:\n%s", p)
		}
		if inOrder(t, p); there {
			begun := map[string]bool{}
			for _, s := range p.Steps {
				begun[s.ID] = true
			}
			if u := plan.Undo(p, begun); u.Steps[0].ID != "undo/api/withdraw" || !u.Steps[0].Routes[0].Redirect {
				t.Errorf("undo\n%s", u)
			}
		}
	}
}

// The same, and the next release is exchanged stop-first: the port is the old
// container's until it has stopped.
func TestBuild_AnAdoptionLeftHalfWayIsWithdrawnWithItsRedirect(t *testing.T) {
	w := new(world).moves("api", port(8000), order(steady.StopFirst)).composed("api", 8000)
	w.in.Routes[0].Redirect = true
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(p.Steps, func(s steady.Step) bool { return s.ID == "api/withdraw" })
	if i < 0 || !p.Steps[i].Routes[0].Redirect {
		t.Errorf("plan\n%s", p)
	}
}
