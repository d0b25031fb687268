package steady_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

// measured gives a measure whose every figure differs from those of another seed.
func measured(t *testing.T, seed int64) steady.Measure {
	t.Helper()
	m := steady.Measure{Counts: counted(t, seed), Open: steady.Open{Requests: int(seed)}}
	for i := range m.Classes {
		m.Classes[i] = seed * int64(i+1)
	}
	m.Took = steady.Histogram{time.Millisecond: 3 * seed}
	m.Waits = steady.Histogram{10 * time.Millisecond: seed}
	m.LongestWait = 9 * time.Millisecond
	return m
}

func TestMeasure_MinusAndPlusHoldForEveryFigure(t *testing.T) {
	want := measured(t, 2)
	want.Open.Requests = 5 // at the end
	want.LongestWait = 10 * time.Millisecond
	if diff := cmp.Diff(want, measured(t, 5).Minus(measured(t, 3))); diff != "" {
		t.Error(diff)
	}
	want = measured(t, 8)
	want.Open.Requests = 5
	if diff := cmp.Diff(want, measured(t, 3).Plus(measured(t, 5))); diff != "" {
		t.Error(diff)
	}
}

func TestMeasure_LongestWaitOfASpanIsExactWhereItIsTheLongestOfAll(t *testing.T) {
	early, late := measured(t, 1), measured(t, 2)
	late.LongestWait = 9500 * time.Microsecond
	if got := late.Minus(early).LongestWait; got != 9500*time.Microsecond {
		t.Errorf("a new longest: %s", got)
	}
	if got := late.Minus(late).LongestWait; got != 0 {
		t.Errorf("nothing was held: %s", got)
	}
}

func TestReading_OfANewProxyIsWhatWasCounted(t *testing.T) {
	began := time.Now()
	before := steady.Reading{Proxy: began, Services: map[string]map[int]steady.Measure{"shop/api": {1: measured(t, 9)}}}
	now := steady.Reading{Proxy: began.Add(time.Second), Services: map[string]map[int]steady.Measure{"shop/api": {1: measured(t, 2), 2: measured(t, 1)}}}
	if diff := cmp.Diff(now.Services, now.Since(before)); diff != "" {
		t.Error(diff)
	}
	now.Proxy = began
	now.Services["shop/api"][1] = measured(t, 11)
	got := now.Since(before)["shop/api"]
	if got[1].Counts != counted(t, 2) || got[2].Counts != counted(t, 1) {
		t.Errorf("since: %+v", got)
	}
}

func TestLosses_OfStreamsAndOfWhatOnlyTheDrainSawAreLosses(t *testing.T) {
	s := steady.ServiceReceipt{Releases: map[int]steady.Counts{1: {Requests: 10, Lost: 2, Cut: 1}, 2: {Requests: 5, StreamsCut: 1, Streams: 4}},
		Drained: steady.Drained{Cut: 1, StreamsCut: 3, StreamsClosed: 2, StreamsQuiet: 9}}
	l := steady.Receipt{Services: []steady.ServiceReceipt{s, s}}.Losses()
	if l != (steady.Losses{Requests: 30, Lost: 4, Cut: 2, StreamsCut: 6, StreamsClosed: 4, StreamsQuiet: 18, Streams: 8}) || l.Sum() != 10 {
		t.Errorf("%+v", l)
	}
}
