package docker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"gesalpai.ch/steady"
)

// Create creates the release's n-th replica from the very call that Compose would
// make, or adopts the container of that name if it is of this release and image.
// It publishes no host port. It has the service's names in no network, but for
// networks in which an address cannot be given twice: see Name. Where the names belong
// to a holder it has them nowhere, and no address of the file's either.
func (e *Engine) Create(ctx context.Context, r steady.Release, n int, rollout int64) (steady.Replica, error) {
	name := r.ReplicaName(n)
	there, err := e.adopt(ctx, r, name)
	if err != nil || there {
		return e.replicaUnless(ctx, name, err)
	}
	b, err := e.body(ctx, r, n, rollout)
	if err != nil {
		return steady.Replica{}, err
	}
	err = e.create(ctx, name, r, b)
	if errors.Is(err, errMoved) {
		err = e.create(ctx, name, r, b)
	}
	return e.replicaUnless(ctx, name, err)
}

func (e *Engine) replicaUnless(ctx context.Context, name string, err error) (steady.Replica, error) {
	if err != nil {
		return steady.Replica{}, err
	}
	return e.Replica(ctx, name)
}

// create makes the container and joins its networks. What it leaves behind when it
// fails is removed, so that the next try starts afresh.
func (e *Engine) create(ctx context.Context, name string, r steady.Release, b body) error {
	platform, err := platformOf(r.Spec.Platform)
	if err != nil {
		return err
	}
	ref, err := e.imageRef(ctx, r)
	if err != nil {
		return err
	}
	b.Config.Image = ref
	_, err = e.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: name, Config: b.Config, HostConfig: b.HostConfig, NetworkingConfig: b.NetworkingConfig, Platform: platform,
	})
	if err != nil {
		return e.createFailed(name, err)
	}
	err = e.joinRest(ctx, name, b)
	if err == nil {
		err = e.sameImage(ctx, r, ref)
	}
	if err != nil {
		err = errors.Join(err, e.Remove(context.WithoutCancel(ctx), name))
	}
	return err
}

func (e *Engine) createFailed(name string, err error) error {
	if cerrdefs.IsNotFound(err) && strings.Contains(strings.ToLower(err.Error()), "no such image") {
		return steady.ErrNoImage.With(fmt.Sprintf("container %s cannot be created: %v", name, err), "steady deploy --pull always")
	}
	return e.fail("create container "+name, err)
}

// imageRef is what the container is created from: the reference that Compose uses,
// which `docker compose ps` shows, where it still is the release's image, and else
// that image's ID, so that a rollback gets the very image.
func (e *Engine) imageRef(ctx context.Context, r steady.Release) (string, error) {
	img, err := e.Image(ctx, r.Spec.Image)
	if err == nil && (r.Image.ID == "" || img.ID == r.Image.ID) {
		return r.Spec.Image, nil
	}
	if err != nil && (!errors.Is(err, steady.ErrNoImage) || r.Image.ID == "") {
		return "", err
	}
	if _, err := e.Image(ctx, r.Image.ID); err != nil {
		return "", err
	}
	return r.Image.ID, nil
}

// errMoved says that a tag was moved between the look at it and its use.
var errMoved = errors.New("the image's tag was moved just now")

func (e *Engine) sameImage(ctx context.Context, r steady.Release, ref string) error {
	now, err := e.imageRef(ctx, r)
	if err == nil && now != ref {
		return fmt.Errorf("create container of image %s: %w", ref, errMoved)
	}
	return err
}

// adopt says whether the container of that name is there and whole. One that was
// never started and lacks a network, because a crash came between, is removed.
func (e *Engine) adopt(ctx context.Context, r steady.Release, name string) (bool, error) {
	c, err := e.inspect(ctx, name)
	if errors.Is(err, steady.ErrNoReplica) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	labels := c.Config.Labels
	if labels[labelProject] != r.Project || labels[steady.LabelRelease] != strconv.Itoa(r.Number) ||
		r.Image.ID != "" && labels[labelImage] != r.Image.ID {
		return false, steady.ErrInternal.With(
			fmt.Sprintf("container %s is there but not of %s and its image", name, r.Ref()), "docker rm -f "+name)
	}
	if c.State.Status == container.StateCreated && !whole(c, r.Spec) {
		return false, e.Remove(ctx, name)
	}
	if !c.State.Running && rejoins(c, r.Spec) {
		return false, e.Remove(ctx, name)
	}
	if !c.State.Running {
		err = e.moveIn(ctx, r.Spec, c)
	}
	return true, err
}

// moveIn has a container that does not run be in the networks that there are now:
// one may have been removed under it, and another made by its name.
func (e *Engine) moveIn(ctx context.Context, spec steady.Spec, c container.InspectResponse) error {
	for _, n := range spec.Networks {
		net, there, err := e.network(ctx, n.Name)
		if err != nil || !there {
			return err // where it is missing, the start says so
		}
		old := c.NetworkSettings.Networks[n.Name]
		if old != nil && (old.NetworkID == "" || old.NetworkID == net.ID) {
			continue
		}
		ep, err := replicaEndpoint(spec, n)
		if err == nil && old != nil {
			err = e.disconnect(ctx, c.ID, n.Name)
		}
		if err == nil {
			err = e.connect(ctx, c.ID, n.Name, ep)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whole says whether a container that was never started is in all its networks,
// with the address that the file gives it there and no other.
func whole(c container.InspectResponse, spec steady.Spec) bool {
	for _, n := range spec.Networks {
		want, err := replicaEndpoint(spec, n)
		got := c.NetworkSettings.Networks[n.Name]
		if err != nil || got == nil || fixed(got) != fixed(want) {
			return false
		}
	}
	return true
}

func platformOf(s string) (*ocispec.Platform, error) {
	if s == "" {
		return nil, nil
	}
	p, err := platforms.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("platform %q: %w", s, err)
	}
	return &p, nil
}
