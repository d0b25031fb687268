package docker

import (
	"context"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"gesalpai.ch/steady"
)

// Image looks up an image by reference or by ID; steady.ErrNoImage when it is not
// there.
func (e *Engine) Image(ctx context.Context, ref string) (steady.Image, error) {
	got, err := e.api.ImageInspect(ctx, ref)
	if cerrdefs.IsNotFound(err) || cerrdefs.IsInvalidArgument(err) {
		return steady.Image{}, steady.ErrNoImage.With("image "+ref+" is not on this machine", "docker pull "+ref)
	}
	if err != nil {
		return steady.Image{}, e.fail("inspect image "+ref, err)
	}
	built, _ := time.Parse(time.RFC3339Nano, got.Created)
	img := steady.Image{Ref: ref, ID: got.ID, Built: built.UTC()}
	if got.Identity == nil || len(got.Identity.Pull) > 0 { // the containerd store gives a digest to what no registry has, too
		img.Digest = repoDigest(ref, got.RepoDigests)
	}
	if got.Config != nil {
		img.Volumes = declared(got.Config.Volumes)
	}
	return img, nil
}

// repoDigest picks the digest under which ref's repository has the image. An image
// may have come from several.
func repoDigest(ref string, digests []string) string {
	digests = slices.DeleteFunc(slices.Clone(digests), func(d string) bool { return strings.HasPrefix(d, steady.ReleaseRepository+"@") })
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil || strings.HasPrefix(ref, "sha256:") {
		return first(digests)
	}
	for _, d := range digests {
		if other, err := reference.ParseNormalizedNamed(d); err == nil && other.Name() == named.Name() {
			return d
		}
	}
	return ""
}

func first(of []string) string {
	if len(of) == 0 {
		return ""
	}
	return of[0]
}
