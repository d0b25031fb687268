package api_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

// stage is what the fake answers who steers.
var stage = steady.Stage{Number: 2, Of: 3, For: time.Minute, Paused: true, Since: time.Unix(7, 0).UTC(), Shares: []steady.Share{{Service: "api", Release: 8, Percent: 25}}}

func TestCanary_WhatIsAskedAndAnsweredCrossesTheSocket(t *testing.T) {
	b := &fake{}
	c := pair(t, b)
	one, err1 := c.Promote(t.Context(), "shop", 7, true, "anna@host")
	two, err2 := c.Pause(t.Context(), "shop", 7, "anna@host")
	three, err3 := c.Resume(t.Context(), "shop", 0, "")
	for i, got := range []steady.Stage{one, two, three} {
		if diff := cmp.Diff(stage, got); diff != "" {
			t.Errorf("answer %d:\n%s", i, diff)
		}
	}
	want := []any{"shop", int64(7), true, "anna@host", "pause", "shop", int64(7), "anna@host", "resume", "shop", int64(0), ""}
	if diff := cmp.Diff(want, b.asked); diff != "" || err1 != nil || err2 != nil || err3 != nil {
		t.Errorf("%v %v %v\n%s", err1, err2, err3, diff)
	}
}
