package rollout_test

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/rollout"
)

// tagged names the tags of releases' images, without what all of them begin with.
func (p *place) tagged() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for tag := range maps.Keys(p.tags) {
		out = append(out, tag[len(steady.ReleaseTags("shop")):])
	}
	slices.Sort(out)
	return out
}

// moved takes an image's own name away, as a build or a pull of the next one does.
func (p *place) moved(ref string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.images, ref)
}

func TestImages_OfReleasesThatServeAreKeptUntilAPruneLetsThemGo(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	for n := 1; n <= 5; n++ {
		v := fmt.Sprint("v", n)
		if n == 3 {
			v = "v2" // another release of the same image
		}
		s := spec("api", v, func(s *steady.Spec) { s.StopGrace = time.Duration(n) })
		d.deploy(t, p, request(s))
	}
	all := []string{"api.1", "api.2", "api.3", "api.4", "api.5"}
	if got := p.tagged(); !slices.Equal(got, all) {
		t.Fatalf("kept %v", got)
	}
	p.mu.Lock()
	p.sick["shop-api-6-1"] = steady.ErrNotReady
	p.mu.Unlock()
	if r := d.deploy(t, p, request(spec("api", "v6"))); r.State == steady.RolloutDone {
		t.Fatal("a sick release was deployed")
	}
	if got := p.tagged(); !slices.Equal(got, all) {
		t.Errorf("kept %v: a release that never served needs no image", got)
	}
	p.moved("shop/api:v1")
	got, err := d.Prune(t.Context(), "shop", 2, true)
	if err != nil || len(got) != 1 || got[0].Release != 1 || len(p.tagged()) != 5 {
		t.Errorf("dry: %+v, %v, kept %v", got, err, p.tagged())
	}
	got, err = d.Prune(t.Context(), "shop", 2, false)
	if err != nil || len(got) != 1 || !got[0].Removed || !slices.Equal(p.tagged(), all[1:]) {
		t.Errorf("%+v, %v, kept %v: want two images besides the serving one's, and their three releases", got, err, p.tagged())
	}
	defer func() {
		d.deploy(t, p, rollout.Request{Kind: steady.KindDown, Project: "shop"})
		if got := p.tagged(); len(got) != 1 {
			t.Errorf("after down %v are kept: want them as they were", got)
		}
		d.deploy(t, p, rollout.Request{Kind: steady.KindDown, Project: "shop", Volumes: true})
		if got := p.tagged(); len(got) > 0 {
			t.Errorf("after down --volumes %v are kept", got)
		}
	}()
	if got, err = d.Prune(t.Context(), "shop", 0, false); err != nil || len(got) != 3 || got[0].Removed || !slices.Equal(p.tagged(), all[4:]) {
		t.Errorf("%+v, %v, kept %v: want what serves alone", got, err, p.tagged())
	}
}

func TestImages_AKeepCountPrunesAfterEachRollout(t *testing.T) {
	p := newPlace()
	e := rollout.New(p, p, p, journal{p}, slog.New(slog.DiscardHandler))
	one := 1
	e.KeepImages = &one
	d := start(t, e)
	for n := 1; n <= 3; n++ {
		d.deploy(t, p, request(spec("api", fmt.Sprint("v", n))))
	}
	for late := time.After(soon); !slices.Equal(p.tagged(), []string{"api.2", "api.3"}); {
		select {
		case <-time.After(time.Millisecond):
		case <-late:
			t.Fatalf("kept %v", p.tagged())
		}
	}
}

// What an earlier steady has deployed is kept from the next start on.
func TestImages_AreTaggedAtTheStart(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	d.deploy(t, p, request(spec("api", "v2")))
	d.stop()
	p.mu.Lock()
	clear(p.tags)
	p.mu.Unlock()
	boot(t, p)
	for late := time.After(soon); !slices.Equal(p.tagged(), []string{"api.1", "api.2"}); {
		select {
		case <-time.After(time.Millisecond):
		case <-late:
			t.Fatalf("kept %v", p.tagged())
		}
	}
}
