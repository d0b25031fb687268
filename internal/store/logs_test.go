package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func TestKeptLogs_AreOfAReleaseAndStayWithTheirRollout(t *testing.T) {
	s := opened(t)
	r, made := accepted(t, s, "shop", "api")
	c := steady.Replica{Service: "api", Release: made[0].Number, Name: "shop-api-1-1"}
	want := []steady.LogLine{{Time: time.Unix(1, 0).UTC(), Service: "api", Release: 1, Replica: c.Name, Text: "panic"}, {Service: "api", Health: true, Text: "healthcheck: curl: not found"}}
	for range 2 { // as after a crash
		if err := s.KeepLog(t.Context(), r.ID, c, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.KeptLogs(t.Context(), "shop", made[0].Number)
	if diff := cmp.Diff([][]steady.LogLine{want}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for project, number := range map[string]int{"shop": made[0].Number + 1, "other": made[0].Number} {
		if got, err := s.KeptLogs(t.Context(), project, number); err != nil || len(got) != 0 {
			t.Errorf("%s release %d: %v, %v", project, number, got, err)
		}
	}
}

func TestCompleted_IsToldWithTheRelease(t *testing.T) {
	s := opened(t)
	_, made := accepted(t, s, "shop", "init")
	at := time.Unix(1700000000, 0).UTC()
	if err := s.Completed(t.Context(), "shop", "init", made[0].Number, at); err != nil {
		t.Fatal(err)
	}
	got, err := s.Release(t.Context(), "shop", "init", made[0].Number)
	if err != nil || !got.Done.Equal(at) {
		t.Errorf("%+v, %v", got, err)
	}
}
