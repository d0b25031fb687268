package daemon

import (
	"maps"
	"path/filepath"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/store"
)

func TestRollback_DrillsAreNoStepsOfTheWayBack(t *testing.T) {
	st, err := store.Open(filepath.Join(t.TempDir(), "steady.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	rolled := func(kind string, services ...string) {
		t.Helper()
		r := steady.Rollout{Project: "shop", Kind: kind, Services: services, Started: time.Now(), State: steady.RolloutRunning}
		var made []steady.Release
		for _, s := range services {
			made = append(made, steady.Release{Project: "shop", Service: s, Created: time.Now()})
		}
		if err := st.Accept(t.Context(), &r, made); err != nil {
			t.Fatal(err)
		}
		r.State, r.Ended = steady.RolloutDone, time.Now()
		if err := st.PutRoutes(t.Context(), routesTo(made)); err != nil {
			t.Fatal(err)
		}
		if err := st.Update(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	rolled(steady.KindDeploy, "api", "web")
	rolled(steady.KindDeploy, "api", "web")
	rolled(steady.KindDrill, "api")
	rolled(steady.KindDrill, "api")
	all, serving, err := st.Releases(t.Context(), "shop")
	if err != nil || serving["api"] != 4 {
		t.Fatal(serving, err)
	}
	if err := (&backend{store: st}).beforeDrills(t.Context(), all, serving); err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"api": 2, "web": 2}; !maps.Equal(serving, want) {
		t.Errorf("a rollback starts at %v, want %v", serving, want)
	}
}

func routesTo(releases []steady.Release) []steady.Route {
	var out []steady.Route
	for _, r := range releases {
		out = append(out, steady.Route{Project: r.Project, Service: r.Service, Release: r.Number})
	}
	return out
}
