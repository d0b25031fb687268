package runtimetest

import (
	"context"
	"errors"
	"testing"

	"gesalpai.ch/steady"
)

// keptImages holds a Runtime to the tags that keep images of releases: they are a
// project's, there once however often they are given, and an image that has another
// name outlives them.
func keptImages(t *testing.T, r *room) {
	first, second := r.release("api", r.Serve, 1), r.release("api", r.Serve, 2)
	other := r.release("api", r.Serve, 1)
	other.Project += "-other"
	for _, rel := range []steady.Release{first, first, second, other} {
		r.must("keep", r.Runtime.KeepImage(r.ctx, rel))
		t.Cleanup(func() { _, _ = r.Runtime.DropImage(context.WithoutCancel(t.Context()), rel.ImageTag()) })
	}
	holds := func(want ...steady.Release) {
		t.Helper()
		kept, err := r.Runtime.KeptImages(r.ctx, r.Project)
		r.must("list kept images", err)
		for _, w := range want {
			found := false
			for _, k := range kept {
				found = found || k == steady.KeptImage{Tag: w.ImageTag(), Image: w.Image.ID}
			}
			if !found || len(kept) != len(want) {
				t.Errorf("kept %v, want %d, with %s", kept, len(want), w.ImageTag())
			}
		}
	}
	holds(first, second)
	for range 2 {
		removed, err := r.Runtime.DropImage(r.ctx, second.ImageTag())
		if r.must("drop", err); removed {
			t.Error("the image is gone, though it has other names")
		}
	}
	holds(first)
	if _, err := r.Runtime.Image(r.ctx, r.Serve); err != nil {
		t.Errorf("the image's own name: %v", err)
	}
}

// missingImage says that an image which is not there cannot be kept.
func missingImage(t *testing.T, r *room) {
	rel := r.release("api", r.Serve, 1)
	rel.Image.ID = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	if err := r.Runtime.KeepImage(r.ctx, rel); !errors.Is(err, steady.ErrNoImage) {
		t.Errorf("got %v, want ErrNoImage", err)
	}
}
