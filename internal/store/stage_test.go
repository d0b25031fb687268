package store_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func TestStage_IsThereAgainAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steady.db")
	s, ctx := openedAt(t, path), t.Context()
	r, _ := accepted(t, s, "shop", "api")
	none, err := s.Stage(ctx, r.ID)
	if err != nil || none.Under() {
		t.Errorf("before: %+v, %v", none, err)
	}
	want := steady.Stage{Number: 2, Of: 3, For: time.Minute, Paused: true, Promoted: 1, Spent: time.Second,
		Shares: []steady.Share{{Service: "api", Release: 1, Percent: 2.5}}}
	try(t, s.PutStage(ctx, r.ID, steady.Stage{Number: 1, Of: 3}))
	try(t, s.PutStage(ctx, r.ID, want))
	try(t, s.Close())
	s = openedAt(t, path)
	got, err := s.Stage(ctx, r.ID)
	try(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := s.PutStage(ctx, 99, want); !errors.Is(err, steady.ErrNoRollout) {
		t.Errorf("of no rollout: %v", err)
	}
}
