package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

func (e *Engine) prepareVolume(ctx context.Context, v steady.Volume) error {
	_, err := e.api.VolumeInspect(ctx, v.Name, client.VolumeInspectOptions{})
	if err == nil {
		return nil
	}
	if !cerrdefs.IsNotFound(err) {
		return e.fail("inspect volume "+v.Name, err)
	}
	if v.External || len(v.Create) == 0 {
		return steady.ErrCompose.With("volume "+v.Name+" is external and not there", "docker volume create "+v.Name)
	}
	var req volume.CreateRequest
	if err := json.Unmarshal(v.Create, &req); err != nil {
		return fmt.Errorf("read volume %s: %w", v.Name, err)
	}
	_, err = e.api.VolumeCreate(ctx, client.VolumeCreateOptions{
		Name: v.Name, Driver: req.Driver, DriverOpts: req.DriverOpts, Labels: req.Labels, ClusterVolumeSpec: req.ClusterVolumeSpec,
	})
	return e.fail("create volume "+v.Name, err)
}

// Clean removes the project's holders and networks, and its volumes when asked. What
// is external has not the project's label; what others use stays.
func (e *Engine) Clean(ctx context.Context, project string, volumes bool) error {
	if err := e.forgetAll(ctx, project); err != nil {
		return err
	}
	of := client.Filters{}.Add("label", labelProject+"="+project)
	nets, err := e.api.NetworkList(ctx, client.NetworkListOptions{Filters: of})
	if err != nil {
		return e.fail("list networks", err)
	}
	var errs []error
	for _, n := range nets.Items {
		_, err := e.api.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		errs = append(errs, e.unlessUsed("network", n.Name, err))
	}
	if !volumes {
		return errors.Join(errs...)
	}
	vols, err := e.api.VolumeList(ctx, client.VolumeListOptions{Filters: of})
	if err != nil {
		return errors.Join(append(errs, e.fail("list volumes", err))...)
	}
	for _, v := range vols.Items {
		_, err := e.api.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
		errs = append(errs, e.unlessUsed("volume", v.Name, err))
	}
	return errors.Join(errs...)
}

func (e *Engine) forgetAll(ctx context.Context, project string) error {
	held, err := e.Holders(ctx, project)
	if err != nil {
		return err
	}
	errs := make([]error, len(held))
	sideBySide(len(held), func(i int) { errs[i] = e.Forget(ctx, project, held[i].Service) })
	return errors.Join(errs...)
}

// unlessUsed passes over what is gone already or in use. Engines answer a network
// in use with 403.
func (e *Engine) unlessUsed(kind, name string, err error) error {
	switch {
	case cerrdefs.IsNotFound(err):
		return nil
	case cerrdefs.IsConflict(err), cerrdefs.IsPermissionDenied(err):
		e.log.Info("left: in use", "kind", kind, "name", name)
		return nil
	}
	return e.fail("remove "+kind+" "+name, err)
}
