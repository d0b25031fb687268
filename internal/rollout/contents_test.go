package rollout_test

import (
	"testing"

	"gesalpai.ch/steady"
)

// TestRollout_LearnsTheFilesOfAReleaseOfBefore: a release made before contents were
// looked at is not replaced, and an edit after the next deploy is.
func TestRollout_LearnsTheFilesOfAReleaseOfBefore(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	mounts := func(sum string) func(*steady.Spec) {
		return func(s *steady.Spec) {
			s.Contents = []steady.Content{{Source: "/srv/nginx.conf", Target: "/nginx.conf", Sum: sum}}
		}
	}
	d.deploy(t, p, request(spec("api", "v1")))
	for _, c := range []struct{ sum, state string }{
		{"sha256:1", steady.RolloutUnchanged}, {"", steady.RolloutUnchanged}, {"sha256:1", steady.RolloutUnchanged},
		{"sha256:2", steady.RolloutDone}, {"sha256:2", steady.RolloutUnchanged},
	} {
		if r := d.deploy(t, p, request(spec("api", "v1", mounts(c.sum)))); r.State != c.state {
			t.Errorf("sum %q: %s, want %s (%v)", c.sum, r.State, c.state, r.Error)
		}
	}
	if n := len(p.releases); n != 2 || p.releases[0].Spec.Contents[0].Sum != "sha256:1" {
		t.Errorf("%d releases, of the first %v", n, p.releases[0].Spec.Contents)
	}
}
