package rollout

import (
	"context"
	"errors"
	"fmt"

	"gesalpai.ch/steady"
)

// bringBack pulls the image of an older release by its digest: it is the very
// image, or none.
func (r *run) bringBack(ctx context.Context, s steady.Step, t steady.Release) (said, error) {
	spec := t.Spec
	spec.Image = t.Image.Digest
	img, err := r.engine.Runtime.Pull(ctx, spec, func(line string) { r.progress(ctx, s, line) })
	if errors.Is(err, steady.ErrNoImage) {
		return said{}, steady.ErrNoImage.With(fmt.Sprintf("%s needs image %s, which is gone: %v", t.Ref(), t.Spec.Image, err), "docker pull "+t.Image.Digest)
	}
	if err != nil {
		return said{}, err
	}
	if img.ID != t.Image.ID {
		return said{}, steady.ErrNoImage.With(
			fmt.Sprintf("%s needs image %s, and %s is now %s", t.Ref(), t.Image.ID, t.Image.Digest, img.ID), "steady releases "+t.Service)
	}
	return said{what: t.Image.Digest}, nil
}
