package steady_test

import (
	"reflect"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"github.com/google/go-cmp/cmp"
)

// counted gives counts whose every field differs, also from those of another seed.
func counted(t *testing.T, seed int64) steady.Counts {
	t.Helper()
	var c steady.Counts
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		v.Field(i).SetInt(seed * int64(i+1))
	}
	return c
}

func TestCounts_MinusAndPlusHoldForEveryField(t *testing.T) {
	five, three := counted(t, 5), counted(t, 3)
	if diff := cmp.Diff(counted(t, 2), five.Minus(three)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(counted(t, 8), five.Plus(three)); diff != "" {
		t.Error(diff)
	}
}

func TestDrained_PlusAddsUpAndKeepsTheLongest(t *testing.T) {
	a := steady.Drained{Requests: 1, Longest: 3 * time.Second, Cut: 2, Streams: 3, StreamsEnded: 4, StreamsClosed: 5, StreamsQuiet: 7, StreamsCut: 6}
	b := steady.Drained{Requests: 10, Longest: 2 * time.Second, Cut: 20, Streams: 30, StreamsEnded: 40, StreamsClosed: 50, StreamsQuiet: 70, StreamsCut: 60}
	want := steady.Drained{Requests: 11, Longest: 3 * time.Second, Cut: 22, Streams: 33, StreamsEnded: 44, StreamsClosed: 55, StreamsQuiet: 77, StreamsCut: 66}
	for _, got := range []steady.Drained{a.Plus(b), b.Plus(a)} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReceipt_SumsOverServicesAndReleases(t *testing.T) {
	r := steady.Receipt{Services: []steady.ServiceReceipt{
		{Releases: map[int]steady.Counts{1: {Requests: 10, Lost: 1}, 2: {Requests: 20}}},
		{Releases: map[int]steady.Counts{2: {Requests: 5, Lost: 2}}},
	}}
	if r.Requests() != 35 || r.Lost() != 3 {
		t.Errorf("%d requests, %d lost; want 35 and 3", r.Requests(), r.Lost())
	}
}

func TestRollout_IsFinalInEveryStateButTwo(t *testing.T) {
	for state, want := range map[string]bool{
		steady.RolloutRunning: false, steady.RolloutUndoing: false,
		steady.RolloutDone: true, steady.RolloutUnchanged: true, steady.RolloutFailed: true,
		steady.RolloutRolledBack: true, steady.RolloutPaused: true, steady.RolloutAborted: true,
	} {
		if got := (steady.Rollout{State: state}).Final(); got != want {
			t.Errorf("%s is final: %v", state, got)
		}
	}
}
