package rollout

import (
	"slices"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

var (
	zero   = time.Date(2026, 11, 25, 18, 0, 0, 0, time.UTC)
	second = func(n float64) time.Time { return zero.Add(time.Duration(n * float64(time.Second))) }
)

// reads is a reading of a proxy with requests by release.
func reads(at, proxy float64, requests map[int]int64) steady.Reading {
	r := steady.Reading{At: second(at), Proxy: second(proxy), Services: measures{"shop/api": {}}}
	for n, v := range requests {
		r.Services["shop/api"][n] = steady.Measure{Counts: steady.Counts{Requests: v}, Open: steady.Open{Requests: 1}}
	}
	return r
}

// A proxy leaves out what nothing was counted of; what it says when that takes
// traffic again is no new figure.
func TestLedger_AReleaseThatWasLeftOutIsNotCountedTwice(t *testing.T) {
	l := ledger{readings: []steady.Reading{
		reads(0, -100, map[int]int64{1: 1000, 2: 50}),
		reads(1, -100, map[int]int64{2: 60}),
		reads(2, -100, map[int]int64{1: 1007, 2: 60}),
		reads(3, 2.5, map[int]int64{1: 3}), // another proxy: it leaves out nothing
	}}
	sum := between(l.carried())["shop/api"]
	if sum[1].Counts.Requests != 10 || sum[2].Counts.Requests != 10 {
		t.Errorf("sum %+v", sum)
	}
	if left := l.carried()[1].Services["shop/api"][1]; left.Open != (steady.Open{}) {
		t.Errorf("who was left out has nothing open, not %+v", left.Open)
	}
}

func TestCounted_AllOfAProxyThatBeganMeanwhile(t *testing.T) {
	c := counted{began: zero, ended: second(3), readings: []steady.Reading{reads(2, 1, map[int]int64{1: 40}), reads(3, 1, map[int]int64{1: 45})}}
	if n := c.sum()["shop/api"][1].Counts.Requests; n != 45 {
		t.Errorf("%d requests", n)
	}
	if m := c.missed(); len(m) != 1 || !m[0].From.Equal(zero) || !m[0].To.Equal(second(1)) {
		t.Errorf("missed %+v", m)
	}
	late := counted{began: zero, ended: second(9), readings: []steady.Reading{reads(5, -9, nil), reads(9, -9, nil)}}
	if m := late.missed(); len(m) != 1 || !m[0].To.Equal(second(5)) {
		t.Errorf("a first reading that came late: missed %+v", m)
	}
	early := counted{began: zero, ended: second(9), readings: []steady.Reading{reads(0.1, -9, nil), reads(8, -9, nil)}}
	if m := early.missed(); len(m) != 1 || !m[0].From.Equal(second(8)) || !m[0].To.Equal(second(9)) {
		t.Errorf("a last reading that could not be had: missed %+v", m)
	}
}

func TestPhases_StepsThatOverlapAreOneAndThoseLaterAnother(t *testing.T) {
	event := func(at float64, kind, step, id string) steady.Event {
		return steady.Event{Time: second(at), Kind: kind, Service: "api", Step: step, StepID: id}
	}
	c := counted{ended: second(9), events: []steady.Event{
		event(0, steady.EventBegun, "start", "a"), event(1, steady.EventBegun, "start", "b"),
		event(2, steady.EventStep, "start", "a"), event(3, steady.EventStep, "start", "b"),
		event(5, steady.EventBegun, "start", "c"), event(5.5, steady.EventBegun, "start", "c"), event(6, steady.EventStep, "start", "c"),
		event(7, steady.EventBegun, "probe", "d"), {Time: second(8), Kind: steady.EventUndo},
		event(8, steady.EventBegun, "stop", "undo/e"),
	}}
	want := []steady.PhaseTaken{
		{Service: "api", Kind: "start", Began: second(0), Ended: second(3)},
		{Service: "api", Kind: "start", Began: second(5), Ended: second(6)},
		{Service: "api", Kind: "probe", Began: second(7), Ended: second(8)},
		{Service: "api", Kind: "stop", Began: second(8), Ended: second(9), Undo: true},
	}
	got := c.phases()
	if len(got) != len(want) {
		t.Fatalf("%d phases: %+v", len(got), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("phase %+v, want %+v", got[i], want[i])
		}
	}
}

func TestSeries_ShiftsBeginAStretchOfTheirOwn(t *testing.T) {
	shift := reads(2.5, -9, map[int]int64{1: 25})
	shift.Shift = &steady.Shifted{At: shift.At}
	c := counted{plan: steady.Plan{Project: "shop"}, readings: []steady.Reading{
		reads(0, -9, map[int]int64{1: 0}), reads(1, -9, map[int]int64{1: 10}), reads(2, -9, map[int]int64{1: 20}), shift,
		reads(2.6, -9, map[int]int64{1: 25, 2: 1}), reads(4, -9, map[int]int64{1: 25, 2: 15}), reads(4.125, -9, map[int]int64{1: 25, 2: 16}),
	}}
	got := c.series([]steady.ServiceReceipt{{Service: "api", Releases: map[int]steady.Counts{2: {}, 1: {}}}})
	if !slices.Equal(got.Until, []time.Duration{time.Second, 2 * time.Second, 2500 * time.Millisecond, 4125 * time.Millisecond}) {
		t.Errorf("stretches until %v", got.Until)
	}
	if !slices.Equal(got.Lines[0].Requests, []int64{10, 10, 5, 0}) || !slices.Equal(got.Lines[1].Requests, []int64{0, 0, 0, 16}) {
		t.Errorf("lines %+v", got.Lines)
	}
}

func TestLed_TellsWhatIsLeftBehindOfASplitAndOfAGate(t *testing.T) {
	now := steady.Reading{At: zero, Services: measures{"shop/api": {
		1: {Open: steady.Open{Requests: 3}}, 2: {Open: steady.Open{Requests: 2}}, 0: {Open: steady.Open{Streams: 1}}}}}
	route := func(release int, replicas []string, split *steady.Split) steady.ServiceShift {
		s := steady.Step{Kind: steady.StepShift, Routes: []steady.Route{{Project: "shop", Service: "api", Release: release, Replicas: replicas, Split: split}}}
		return led("shop", s, now).Services[0]
	}
	for what, c := range map[string]struct{ got, want steady.ServiceShift }{
		"shift":    {route(2, []string{"a"}, nil), steady.ServiceShift{Service: "api", Release: 2, Replicas: 1, Left: steady.Open{Requests: 3, Streams: 1}}},
		"withdraw": {route(1, nil, nil), steady.ServiceShift{Service: "api", Release: 1, Left: steady.Open{Requests: 5, Streams: 1}}},
		"canary": {route(1, []string{"a", "b"}, &steady.Split{Release: 2, Percent: 10}),
			steady.ServiceShift{Service: "api", Release: 1, Replicas: 2, Trial: 2, Percent: 10, Left: steady.Open{Streams: 1}}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v, want %+v", what, c.got, c.want)
		}
	}
}
