package store_test

import (
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/store"
)

func TestPrune_LetsOldRecordsGoAndKeepsRolloutsAndUnfinishedOnes(t *testing.T) {
	s, ctx := opened(t), t.Context()
	var ids []int64
	for i := range store.KeptRollouts + 3 {
		r := steady.Rollout{Project: "shop", Kind: steady.KindScale, State: steady.RolloutDone}
		if i == 1 {
			r.State = steady.RolloutRunning
		}
		try(t, s.Accept(ctx, &r, nil))
		try(t, s.Planned(ctx, r.ID, steady.Plan{Project: "shop"}))
		try(t, s.Begin(ctx, r.ID, "a"))
		try(t, s.Event(ctx, &steady.Event{Rollout: r.ID, Kind: steady.EventProgress}))
		ids = append(ids, r.ID)
	}
	for i, want := range map[int]int{0: 0, 1: 1, 2: 0, 3: 1, len(ids) - 1: 1} {
		events, err := s.Events(ctx, ids[i], 0)
		try(t, err)
		plan, begun, _, err := s.Progress(ctx, ids[i])
		try(t, err)
		if len(events) != want || len(begun) != want || (plan.Project != "") != (want == 1) {
			t.Errorf("rollout %d of %d: %d events, %d steps, plan of %q; want %d", i, len(ids), len(events), len(begun), plan.Project, want)
		}
	}
	all, err := s.Rollouts(ctx, "shop", 0)
	try(t, err)
	if len(all) != len(ids) {
		t.Errorf("%d rollouts of %d are left", len(all), len(ids))
	}
}

func TestPrune_KeepsTheServingReleaseHoweverOld(t *testing.T) {
	s, ctx := opened(t), t.Context()
	accepted(t, s, "shop", "api", "web") // web stays at its only release
	accepted(t, s, "shop", "api")
	try(t, s.PutRoutes(ctx, []steady.Route{{Project: "shop", Service: "api", Release: 1}}))
	for range store.KeptReleases {
		accepted(t, s, "shop", "api")
	}
	releases, _, err := s.Releases(ctx, "shop")
	try(t, err)
	left := map[string]int{}
	for _, r := range releases {
		left[r.Service]++
	}
	if left["api"] != store.KeptReleases+1 || left["web"] != 1 {
		t.Errorf("releases left: %v; want %d of api and 1 of web", left, store.KeptReleases+1)
	}
	if _, err := s.Release(ctx, "shop", "api", 1); err != nil {
		t.Errorf("the serving release: %v", err)
	}
	if next, _ := accepted(t, s, "shop", "api"); next.Number != store.KeptReleases+3 {
		t.Errorf("next number %d, want %d", next.Number, store.KeptReleases+3)
	}
}
