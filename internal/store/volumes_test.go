package store_test

import (
	"slices"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestVolumes_AreThoseOfThePlansUntilTheyAreForgotten(t *testing.T) {
	s := opened(t)
	r := steady.Rollout{Project: "shop", Kind: steady.KindDeploy, Services: []string{"redis"}, State: steady.RolloutRunning, Started: time.Now()}
	if err := s.Accept(t.Context(), &r, nil); err != nil {
		t.Fatal(err)
	}
	first := steady.AnonymousVolume{Service: "redis", Number: 1, Path: "/data", Name: "aa"}
	second := steady.AnonymousVolume{Service: "redis", Number: 2, Path: "/data", Name: "bb"}
	moved := steady.AnonymousVolume{Service: "redis", Number: 1, Path: "/data", Name: "bb"}
	for _, step := range []struct{ planned, want []steady.AnonymousVolume }{
		{[]steady.AnonymousVolume{first, second}, []steady.AnonymousVolume{first, second}},
		{nil, []steady.AnonymousVolume{first, second}},
		{[]steady.AnonymousVolume{first}, []steady.AnonymousVolume{second, first}},
		{[]steady.AnonymousVolume{moved}, []steady.AnonymousVolume{first, moved}},
	} {
		if err := s.Planned(t.Context(), r.ID, steady.Plan{Project: "shop", Volumes: step.planned}); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Volumes(t.Context(), "shop"); err != nil || !slices.Equal(got, step.want) {
			t.Errorf("after %v: %v, %v; want %v", step.planned, got, err, step.want)
		}
	}
	if err := s.ForgetVolumes(t.Context(), "blog", ""); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Volumes(t.Context(), "shop"); err != nil || len(got) != 2 {
		t.Errorf("another project's were forgotten, and these are left: %v, %v", got, err)
	}
	if err := s.ForgetVolumes(t.Context(), "shop", ""); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Volumes(t.Context(), "shop"); err != nil || len(got) != 0 {
		t.Errorf("%v, %v: want none", got, err)
	}
}
