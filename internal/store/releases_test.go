package store_test

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestUpdate_ADoneRolloutMarksWhatServed(t *testing.T) {
	s := opened(t)
	r := steady.Rollout{Project: "shop", Kind: steady.KindDeploy, Services: []string{"api"}, State: steady.RolloutRunning, Started: time.Now()}
	rs := []steady.Release{{Project: "shop", Service: "api", Spec: steady.Spec{Project: "shop", Service: "api"}}}
	if err := s.Accept(t.Context(), &r, rs); err != nil {
		t.Fatal(err)
	}
	if err := s.PutRoutes(t.Context(), []steady.Route{{Project: "shop", Service: "api", Release: r.Number, Replicas: []string{"a"}}}); err != nil {
		t.Fatal(err)
	}
	for _, end := range []struct {
		state  string
		served bool
	}{{steady.RolloutRolledBack, false}, {steady.RolloutDone, true}} {
		r.State, r.Ended = end.state, time.Now()
		if err := s.Update(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		got, err := s.Release(t.Context(), "shop", "api", r.Number)
		if err != nil {
			t.Fatal(err)
		}
		if got.Served.IsZero() == end.served {
			t.Errorf("%s: served %v", end.state, got.Served)
		}
	}
}
