package rollout_test

import (
	"slices"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
	"gesalpai.ch/steady/internal/rollout"
)

// gone is a request to go back to a release whose image is gone.
func gone(p *place, service string) rollout.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.releases[slices.IndexFunc(p.releases, func(r steady.Release) bool { return r.Service == service && r.Number == 1 })]
	old.Image.Digest = "example.org/" + service + "@sha256:1"
	return rollout.Request{Kind: steady.KindRollback, Project: "shop", Targets: []plan.Target{{Release: old, Asked: true, Bring: steady.StepPull}}}
}

func TestRollback_AnImageThatIsGoneComesBackByItsDigest(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	d.deploy(t, p, request(spec("api", "v2")))
	q := gone(p, "api")
	p.pulls = map[string]steady.Image{q.Targets[0].Release.Image.Digest: {ID: q.Targets[0].Release.Image.ID}}
	if r := d.deploy(t, p, q); r.State != steady.RolloutDone {
		t.Fatalf("%s, %v", r.State, r.Error)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v", got)
	}
	n := 0
	for _, c := range p.calls {
		if c == "pull example.org/api@sha256:1" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("pulled %d times: %v", n, p.calls)
	}
}

func TestRollback_AnImageThatDoesNotComeBackLeavesWhatServes(t *testing.T) {
	for what, img := range map[string]steady.Image{"nowhere": {}, "is now other": {ID: "other"}} {
		p := newPlace()
		d := boot(t, p)
		d.deploy(t, p, request(spec("api", "v1")))
		d.deploy(t, p, request(spec("api", "v2")))
		q := gone(p, "api")
		if img.ID != "" {
			p.pulls = map[string]steady.Image{q.Targets[0].Release.Image.Digest: img}
		}
		r := d.deploy(t, p, q)
		if r.State != steady.RolloutFailed || !strings.Contains(r.Error.Text, "shop/api release 1 needs image") || !strings.Contains(r.Error.Text, what) {
			t.Errorf("%s: %s, %v", what, r.State, r.Error)
		}
		if got := p.containers(); !slices.Equal(got, []string{"shop-api-2-1+"}) {
			t.Errorf("containers %v", got)
		}
	}
}
