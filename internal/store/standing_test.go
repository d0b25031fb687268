package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func TestStanding_LeavesOutWhatWasTakenDown(t *testing.T) {
	s, ctx := opened(t), t.Context()
	end := func(r steady.Rollout, state string) {
		r.State, r.Ended = state, time.Now()
		try(t, s.Update(ctx, r))
	}
	down := func(project, state string) {
		r := steady.Rollout{Project: project, Kind: steady.KindDown, State: steady.RolloutRunning, Started: time.Now()}
		try(t, s.Accept(ctx, &r, nil))
		end(r, state)
	}
	for _, project := range []string{"blog", "gone", "half", "shop"} {
		r, _ := accepted(t, s, project, "api")
		end(r, steady.RolloutDone)
	}
	try(t, s.PutRoutes(ctx, []steady.Route{{Project: "half", Service: "api", Release: 1}}))
	down("gone", steady.RolloutDone)
	down("half", steady.RolloutDone) // of some of its services
	down("shop", steady.RolloutFailed)
	got, err := s.Standing(ctx)
	try(t, err)
	if d := cmp.Diff([]string{"blog", "half", "shop"}, got); d != "" {
		t.Errorf("standing (-want +got):\n%s", d)
	}
	again, _ := accepted(t, s, "gone", "api")
	end(again, steady.RolloutDone)
	if got, err = s.Standing(ctx); err != nil || len(got) != 4 {
		t.Errorf("deployed again: %v %v", got, err)
	}
}
