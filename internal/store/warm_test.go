package store_test

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestWarm_IsKeptUntilItIsCooledReplacedOrItsServiceLeaves(t *testing.T) {
	s := opened(t)
	until := time.Now().Add(time.Minute).UTC().Truncate(time.Nanosecond)
	w := steady.Warm{Project: "shop", Service: "api", Release: 6, Until: until}
	next := steady.Warm{Project: "shop", Service: "api", Release: 7, Until: until}
	other := steady.Warm{Project: "blog", Service: "web", Release: 1, Until: until}
	for _, step := range []struct {
		do   func() error
		want []steady.Warm
	}{
		{func() error { return s.KeepWarm(t.Context(), w) }, []steady.Warm{w}},
		{func() error { return s.KeepWarm(t.Context(), other) }, []steady.Warm{other, w}},
		{func() error { return s.KeepWarm(t.Context(), next) }, []steady.Warm{other, next}},
		{func() error { return s.Cool(t.Context(), w) }, []steady.Warm{other, next}},
		{func() error { return s.Cool(t.Context(), next) }, []steady.Warm{other}},
		{func() error {
			return s.PutRoutes(t.Context(), []steady.Route{{Project: "blog", Service: "web", Gone: true}})
		}, nil},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		got, err := s.Warm(t.Context(), "")
		if err != nil || len(got) != len(step.want) {
			t.Fatalf("warm %+v, %v; want %+v", got, err, step.want)
		}
		for i := range got {
			if got[i] != step.want[i] {
				t.Errorf("warm %+v, want %+v", got[i], step.want[i])
			}
		}
	}
}
