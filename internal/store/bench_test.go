package store_test

import (
	"fmt"
	"testing"

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
