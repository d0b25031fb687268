package docker

import (
	"context"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// KeepImage tags the release's image, so that docker image prune leaves it, and so that
// it outlives its own tag's move to another image. steady.ErrNoImage when it is not there.
func (e *Engine) KeepImage(ctx context.Context, r steady.Release) error {
	_, err := e.api.ImageTag(ctx, client.ImageTagOptions{Source: r.Image.ID, Target: r.ImageTag()})
	if cerrdefs.IsNotFound(err) {
		return steady.ErrNoImage.With("image "+r.Image.ID+" of "+r.Ref()+" is not on this machine", "steady releases "+r.Service)
	}
	return e.fail("tag image "+r.Image.ID, err)
}

// KeptImages lists the images that KeepImage has tagged for a project's releases.
func (e *Engine) KeptImages(ctx context.Context, project string) ([]steady.KeptImage, error) {
	got, err := e.api.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("reference", steady.ReleaseRepository)})
	if err != nil {
		return nil, e.fail("list images", err)
	}
	var out []steady.KeptImage
	for _, img := range got.Items {
		for _, tag := range img.RepoTags {
			if strings.HasPrefix(tag, steady.ReleaseTags(project)) {
				out = append(out, steady.KeptImage{Tag: tag, Image: img.ID})
			}
		}
	}
	return out, nil
}

// DropImage takes the tag away, and says whether the image went with it: it stays where
// it has another tag. One that a container uses keeps its last tag.
func (e *Engine) DropImage(ctx context.Context, tag string) (removed bool, err error) {
	got, err := e.api.ImageRemove(ctx, tag, client.ImageRemoveOptions{PruneChildren: true})
	switch {
	case cerrdefs.IsNotFound(err):
		return false, nil
	case cerrdefs.IsConflict(err):
		e.log.Info("left: in use", "kind", "image", "name", tag)
		return false, nil
	case err != nil:
		return false, e.fail("remove image "+tag, err)
	}
	for _, item := range got.Items {
		removed = removed || item.Deleted != ""
	}
	return removed, nil
}
