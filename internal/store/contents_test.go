package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func TestContents_OfAReleaseAreStoredAndTheRestStays(t *testing.T) {
	s := opened(t)
	_, made := accepted(t, s, "shop", "api", "web")
	read := func(of steady.Release) steady.Release {
		t.Helper()
		r, err := s.Release(t.Context(), of.Project, of.Service, of.Number)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	want, other := read(made[0]), read(made[1])
	want.Spec.Contents = []steady.Content{{Source: "/srv/<a>.conf", Target: "/a", Sum: "sha256:2"}}
	want.Spec.Original = []steady.Content{{Source: "/srv/<a>.conf", Target: "/a", Sum: "sha256:1"}}
	for range 2 {
		if err := s.Contents(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []steady.Release{want, other} {
		if diff := cmp.Diff(r, read(r)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", r.Ref(), diff)
		}
	}
	want.Number = 99
	if err := s.Contents(t.Context(), want); steady.AsError(err).Code != steady.ErrNoRelease.Code {
		t.Errorf("of a release that there is not: %v", err)
	}
}
