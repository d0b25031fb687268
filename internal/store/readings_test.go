package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func TestReadings_AreKeptUntilTheRolloutHasEnded(t *testing.T) {
	s := opened(t)
	r, _ := accepted(t, s, "shop", "api")
	other, _ := accepted(t, s, "mall", "api")
	began := time.Date(2026, 11, 25, 18, 4, 5, 678, time.UTC)
	var want []steady.Reading
	for i := range 3 {
		x := steady.Reading{At: began.Add(time.Duration(i) * time.Second), Proxy: began,
			Services: map[string]map[int]steady.Measure{"shop/api": {1: {Counts: steady.Counts{Requests: int64(i)}, Answers: steady.Answers{Took: steady.Histogram{time.Millisecond: 7}}}}}}
		if i == 1 {
			x.Shift = &steady.Shifted{At: x.At, Step: "shift", Services: []steady.ServiceShift{{Service: "api", Release: 2, Left: steady.Open{Requests: 3}}}}
		}
		want = append(want, x)
	}
	for _, i := range []int{2, 0, 1} {
		try(t, s.PutReading(t.Context(), r.ID, want[i]))
	}
	try(t, s.PutReading(t.Context(), other.ID, want[0]))
	check := func(id int64, want []steady.Reading) {
		t.Helper()
		got, err := s.Readings(t.Context(), id)
		try(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	check(r.ID, want)
	try(t, s.DropReadings(t.Context(), r.ID, []time.Time{want[1].At}))
	check(r.ID, []steady.Reading{want[0], want[2]})
	r.State = steady.RolloutUndoing
	try(t, s.Update(t.Context(), r))
	check(r.ID, []steady.Reading{want[0], want[2]})
	r.State = steady.RolloutRolledBack
	try(t, s.Update(t.Context(), r))
	check(r.ID, []steady.Reading{})
	check(other.ID, want[:1])
	if err := s.PutReading(t.Context(), 99, want[0]); err == nil || !strings.Contains(err.Error(), "no rollout 99") {
		t.Errorf("of no rollout: %v", err)
	}
}

func TestRollouts_ListsBriefReceiptsAndRolloutGivesTheWhole(t *testing.T) {
	s := opened(t)
	r, _ := accepted(t, s, "shop", "api")
	r.State, r.Ended = steady.RolloutDone, time.Now().UTC()
	r.Receipt = &steady.Receipt{Rollout: r.ID, Took: time.Second, Services: []steady.ServiceReceipt{{Service: "api", Releases: map[int]steady.Counts{1: {Requests: 3}}}},
		Series: &steady.Series{Until: []time.Duration{time.Second}, Lines: []steady.Line{{Service: "api", Release: 1, Requests: []int64{3}}}}}
	try(t, s.Update(t.Context(), r))
	whole, err := s.Rollout(t.Context(), r.ID)
	try(t, err)
	if diff := cmp.Diff(r.Receipt, whole.Receipt); diff != "" {
		t.Error(diff)
	}
	listed, err := s.Rollouts(t.Context(), "shop", 0)
	try(t, err)
	want := r.Receipt.Brief()
	if diff := cmp.Diff(&want, listed[0].Receipt); diff != "" {
		t.Error(diff)
	}
}
