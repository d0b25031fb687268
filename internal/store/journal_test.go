package store_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/store"
	"github.com/google/go-cmp/cmp"
)

func TestProgress_TellsBegunFromDone(t *testing.T) {
	s, ctx := opened(t), t.Context()
	r, _ := accepted(t, s, "shop", "api")
	plan := steady.Plan{Project: "shop", Steps: []steady.Step{{ID: "pull", Kind: steady.StepPull}, {ID: "probe"}, {ID: "shift"}}}
	try(t, s.Planned(ctx, r.ID, plan))
	try(t, s.Begin(ctx, r.ID, "pull"))
	try(t, s.End(ctx, r.ID, "pull", nil))
	try(t, s.Begin(ctx, r.ID, "probe"))
	try(t, s.End(ctx, r.ID, "probe", errors.New("not ready")))
	try(t, s.Begin(ctx, r.ID, "shift"))
	checkProgress(t, s, r.ID, plan, "probe pull shift", "pull")

	try(t, s.Begin(ctx, r.ID, "probe")) // again, after a crash
	try(t, s.End(ctx, r.ID, "probe", nil))
	checkProgress(t, s, r.ID, plan, "probe pull shift", "probe pull")

	try(t, s.Begin(ctx, r.ID, "pull")) // what begins again is not done
	checkProgress(t, s, r.ID, plan, "probe pull shift", "probe")
}

func TestPlanned_SecondPlanBeginsAnew(t *testing.T) {
	s, ctx := opened(t), t.Context()
	r, _ := accepted(t, s, "shop", "api")
	try(t, s.Planned(ctx, r.ID, steady.Plan{Steps: []steady.Step{{ID: "api/shift"}, {ID: "late"}}}))
	try(t, s.Begin(ctx, r.ID, "api/shift"))
	try(t, s.End(ctx, r.ID, "api/shift", nil))
	try(t, s.Begin(ctx, r.ID, "late"))
	undo := steady.Plan{Steps: []steady.Step{{ID: "api/shift", Cause: "undo"}}}
	try(t, s.Planned(ctx, r.ID, undo))
	try(t, s.End(ctx, r.ID, "late", nil)) // of the first plan: it does not show in the second
	checkProgress(t, s, r.ID, undo, "", "")
}

// checkProgress compares with the IDs begun and done, in order of name.
func checkProgress(t *testing.T, s *store.Store, rollout int64, plan steady.Plan, begun, done string) {
	t.Helper()
	p, b, d, err := s.Progress(t.Context(), rollout)
	try(t, err)
	if diff := cmp.Diff(plan, p); diff != "" {
		t.Error(diff)
	}
	if got := names(b); got != begun {
		t.Errorf("begun %q, want %q", got, begun)
	}
	if got := names(d); got != done {
		t.Errorf("done %q, want %q", got, done)
	}
}

func TestEvent_IsNumberedPerRolloutWithoutGaps(t *testing.T) {
	s, ctx := opened(t), t.Context()
	a, _ := accepted(t, s, "shop", "api")
	b, _ := accepted(t, s, "blog", "api")
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				for _, id := range []int64{a.ID, b.ID} {
					if err := s.Event(ctx, &steady.Event{Rollout: id, Kind: steady.EventProgress}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, id := range []int64{a.ID, b.ID} {
		events, err := s.Events(ctx, id, 0)
		try(t, err)
		for i, e := range events {
			if e.Seq != int64(i)+1 || e.Rollout != id {
				t.Fatalf("event %d of rollout %d: seq %d of rollout %d", i, id, e.Seq, e.Rollout)
			}
		}
		if len(events) != writers*each {
			t.Errorf("%d events, want %d", len(events), writers*each)
		}
	}
}

func TestEvents_GivesThoseAfter(t *testing.T) {
	s, ctx := opened(t), t.Context()
	r, _ := accepted(t, s, "shop", "api")
	var want []steady.Event
	for i, kind := range []string{steady.EventAccepted, steady.EventPlanned, steady.EventDone} {
		e := steady.Event{Rollout: r.ID, Kind: kind, Project: "shop", Took: time.Duration(i), Plan: &steady.Plan{Project: "shop"}}
		try(t, s.Event(ctx, &e))
		want = append(want, e)
	}
	got, err := s.Events(ctx, r.ID, 1)
	try(t, err)
	if diff := cmp.Diff(want[1:], got); diff != "" {
		t.Error(diff)
	}
}

func names(set map[string]bool) string {
	var out []string
	for name := range set {
		out = append(out, name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
