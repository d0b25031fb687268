package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// carried are the paths of the anonymous volumes that the container's successor is to
// find again, and whether its label says so: one that Compose made, or an earlier
// steady, has none.
func carried(c container.InspectResponse) (paths []string, labelled bool) {
	text, labelled := c.Config.Labels[steady.LabelVolumes]
	if !labelled || json.Unmarshal([]byte(text), &paths) != nil {
		return nil, false
	}
	return paths, true
}

// mountedVolumes lists what a container has mounted from volumes and from the host.
// Without a label a volume is anonymous when its name is one that nobody has chosen.
func mountedVolumes(c container.InspectResponse) []steady.MountedVolume {
	kept, labelled := carried(c)
	var out []steady.MountedVolume
	for _, m := range c.Mounts {
		v := steady.MountedVolume{Path: path.Join("/", m.Destination), Name: m.Name}
		switch m.Type {
		case mount.TypeVolume:
			v.Anonymous = slices.Contains(kept, v.Path) || !labelled && steady.Unnamed(v.Name)
			v.Ephemeral = labelled && !v.Anonymous && steady.Unnamed(v.Name)
		case mount.TypeBind:
			v.Name = m.Source
			v.Anonymous = slices.Contains(kept, v.Path)
		default:
			continue
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b steady.MountedVolume) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// disposable says whether the Engine may remove the volumes that are anonymous to it
// with the container. Those that are carried over are mounted by name, and stay
// anyway; in a container without our label they are not.
func disposable(c container.InspectResponse) bool {
	_, labelled := carried(c)
	return labelled || c.Config.Labels[labelOneoff] == "True"
}

// yieldVolumes takes from a call the anonymous volumes at paths where volumes_from
// gives the container another service's.
func (e *Engine) yieldVolumes(ctx context.Context, b *body) error {
	var kept []string
	if err := json.Unmarshal([]byte(b.Labels[steady.LabelVolumes]), &kept); err != nil || len(kept) == 0 || len(b.HostConfig.VolumesFrom) == 0 {
		return nil
	}
	var given []string
	for _, from := range b.HostConfig.VolumesFrom {
		name, _, _ := strings.Cut(from, ":")
		c, err := e.inspect(ctx, name)
		if err != nil {
			return err
		}
		for _, m := range c.Mounts {
			given = append(given, path.Join("/", m.Destination))
		}
	}
	yields := func(at string) bool {
		return slices.Contains(kept, path.Join("/", at)) && slices.Contains(given, path.Join("/", at))
	}
	b.HostConfig.Mounts = slices.DeleteFunc(b.HostConfig.Mounts, func(m mount.Mount) bool { return yields(m.Target) })
	text, err := json.Marshal(slices.DeleteFunc(slices.Clone(kept), yields))
	b.Labels[steady.LabelVolumes] = string(text)
	return err
}

// unshared is an error where another container of the service runs on an anonymous
// volume of this one: two must never write to it at once, whatever led here.
func (e *Engine) unshared(ctx context.Context, c container.InspectResponse) error {
	for _, v := range mountedVolumes(c) {
		if !v.Anonymous || !steady.Unnamed(v.Name) {
			continue
		}
		got, err := e.api.ContainerList(ctx, client.ContainerListOptions{Filters: client.Filters{}.Add("volume", v.Name).Add("status", "running").
			Add("label", labelService+"="+c.Config.Labels[labelService], labelProject+"="+c.Config.Labels[labelProject])})
		if err != nil {
			return e.fail("list containers of volume "+v.Name, err)
		}
		for _, other := range got.Items {
			if other.ID != c.ID && !aside(other.Labels) && len(other.Names) > 0 {
				name := strings.TrimPrefix(other.Names[0], "/")
				return steady.ErrUnsupported.With(fmt.Sprintf("container %s cannot start: %s runs on its anonymous volume at %s",
					strings.TrimPrefix(c.Name, "/"), name, v.Path), "docker stop "+name)
			}
		}
	}
	return nil
}

// declared are the paths of the volumes that an image declares, sorted.
func declared(volumes map[string]struct{}) []string { return slices.Sorted(maps.Keys(volumes)) }

// RemoveVolumes removes volumes by name. One that is gone or in use is no error.
func (e *Engine) RemoveVolumes(ctx context.Context, names []string) error {
	var errs []error
	for _, name := range names {
		_, err := e.api.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
		if cerrdefs.IsNotFound(err) {
			continue
		}
		errs = append(errs, e.unlessUsed("volume", name, err))
	}
	return errors.Join(errs...)
}
