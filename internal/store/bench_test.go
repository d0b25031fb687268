package store_test

import (
	"fmt"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// BenchmarkRollout is all that one rollout of one service asks of the store: about
// sixty calls.
func BenchmarkRollout(b *testing.B) {
	s := opened(b)
	ctx := b.Context()
	for b.Loop() {
		r, _ := accepted(b, s, "shop", "api")
		try(b, s.Planned(ctx, r.ID, steady.Plan{Project: "shop", Steps: make([]steady.Step, 14)}))
		for i := range 14 {
			step := fmt.Sprintf("api/step/%d", i)
			try(b, s.Event(ctx, &steady.Event{Rollout: r.ID, Kind: steady.EventBegun, StepID: step}))
			try(b, s.Begin(ctx, r.ID, step))
			try(b, s.End(ctx, r.ID, step, nil))
			try(b, s.Event(ctx, &steady.Event{Rollout: r.ID, Kind: steady.EventStep, StepID: step}))
		}
		try(b, s.PutRoutes(ctx, []steady.Route{{Project: "shop", Service: "api", Release: r.Number}}))
		r.State = steady.RolloutDone
		try(b, s.Update(ctx, r))
	}
}

// BenchmarkEvent is one event, a quick call.
func BenchmarkEvent(b *testing.B) {
	s := opened(b)
	r, _ := accepted(b, s, "shop", "api")
	for b.Loop() {
		try(b, s.Event(b.Context(), &steady.Event{Rollout: r.ID, Kind: steady.EventProgress, Text: "pulling"}))
	}
}

// BenchmarkPutRoutes is the commit point, a sure call.
func BenchmarkPutRoutes(b *testing.B) {
	s := opened(b)
	for n := 0; b.Loop(); n++ { // a row that stays the same would not be written
		try(b, s.PutRoutes(b.Context(), []steady.Route{{Project: "shop", Service: "api", Release: n}}))
	}
}

// BenchmarkPutReading is what a rollout of ten services pays the disk each second.
func BenchmarkPutReading(b *testing.B) {
	s := opened(b)
	r, _ := accepted(b, s, "shop", "api")
	l := make(steady.Latencies, steady.LatencyBuckets)
	for i := range 100 {
		l[i] = 100
	}
	reading := steady.Reading{At: time.Now(), Services: map[string]map[int]steady.Measure{}}
	for i := range 10 {
		m := steady.Measure{Answers: steady.Answers{Took: l.Histogram()}}
		reading.Services[fmt.Sprintf("shop/svc%d", i)] = map[int]steady.Measure{1: m, 2: m}
	}
	for b.Loop() {
		reading.At = reading.At.Add(time.Second)
		try(b, s.PutReading(b.Context(), r.ID, reading))
	}
}
