package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// Compose's labels that say where a container's files were, and which of a project's
// networks and volumes one is.
const (
	labelWorkingDir = "com.docker.compose.project.working_dir"
	labelFiles      = "com.docker.compose.project.config_files"
	labelNetwork    = "com.docker.compose.network"
	labelVolume     = "com.docker.compose.volume"
)

// Recovered makes a release again from one of its replicas, for a store that has lost
// it: what the Engine was asked for, with the image's own settings among it. A
// container made from it is like the replica. What only the files say is missing:
// the build section, dependencies, hooks and the rest of x-steady; ports, routes and
// the number of replicas are the caller's to fill in.
func (e *Engine) Recovered(ctx context.Context, name string) (steady.Release, error) {
	c, err := e.inspect(ctx, name)
	if err != nil {
		return steady.Release{}, err
	}
	labels := c.Config.Labels
	r := steady.Release{Project: labels[labelProject], Service: labels[labelService]}
	r.Number, _ = strconv.Atoi(labels[steady.LabelRelease])
	if r.Image, err = e.imageOf(ctx, c); err != nil {
		return r, err
	}
	r.Spec = steady.Spec{
		Project: r.Project, Service: r.Service, WorkingDir: labels[labelWorkingDir], Files: strings.Split(labels[labelFiles], ","),
		Image: r.Image.Ref, Restart: replicaOf(c).Restart, StopGrace: steady.DefaultStopGrace,
		Update: steady.Update{FailureAction: steady.DefaultFailureAction},
		Drain:  steady.Drain{Requests: steady.DefaultDrainRequests, Streams: steady.DefaultDrainStreams},
	}
	if t := c.Config.StopTimeout; t != nil {
		r.Spec.StopGrace = time.Duration(*t) * time.Second
	}
	if c, err = e.recoverShares(ctx, c); err != nil {
		return r, err
	}
	if r.Spec.Container, err = recoveredBody(c); err != nil {
		return r, err
	}
	if err := e.recoverMounts(ctx, c, &r.Spec); err != nil {
		return r, err
	}
	return r, e.recoverNetworks(ctx, c, &r.Spec)
}

// imageOf is the container's image, by the reference that it was created from where
// that still is the image.
func (e *Engine) imageOf(ctx context.Context, c container.InspectResponse) (steady.Image, error) {
	for _, ref := range []string{c.Config.Image, c.Image} {
		img, err := e.Image(ctx, ref)
		if err != nil && !errors.Is(err, steady.ErrNoImage) {
			return img, err
		}
		if img.ID == c.Image {
			return img, nil
		}
	}
	return steady.Image{Ref: c.Config.Image, ID: c.Image}, nil
}

// recoveredBody is the call that would create the container again, without what
// Create puts into it.
func recoveredBody(c container.InspectResponse) (json.RawMessage, error) {
	config, host := *c.Config, *c.HostConfig
	config.Labels = maps.Clone(config.Labels)
	for _, own := range []string{steady.LabelRelease, steady.LabelRollout, steady.LabelVolumes, labelRestart, labelStatic, labelImage, labelNumber} {
		delete(config.Labels, own)
	}
	if strings.HasPrefix(c.ID, config.Hostname) { // the Engine's own choice
		config.Hostname = ""
	}
	if policy, ours := c.Config.Labels[labelRestart]; ours {
		host.RestartPolicy = policyOf(policy)
	}
	host.Mounts = slices.Clone(host.Mounts)
	for _, v := range mountedVolumes(c) {
		if v.Anonymous { // each replica has its own, which its successor finds by itself
			host.Mounts = slices.DeleteFunc(host.Mounts, func(m mount.Mount) bool { return path.Join("/", m.Target) == v.Path })
			host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeVolume, Target: v.Path})
		}
	}
	raw, err := json.Marshal(container.CreateRequest{Config: &config, HostConfig: &host})
	if err != nil {
		return nil, fmt.Errorf("write the container of %s: %w", c.Name, err)
	}
	return raw, nil
}

// recoverMounts tells the named volumes, what is written and found again, and which
// anonymous volumes go with their container.
func (e *Engine) recoverMounts(ctx context.Context, c container.InspectResponse, s *steady.Spec) error {
	own := map[string]bool{}
	for _, v := range mountedVolumes(c) {
		own[v.Path] = v.Anonymous || v.Ephemeral
		if v.Ephemeral {
			s.EphemeralVolumes = append(s.EphemeralVolumes, v.Path)
		}
	}
	for _, m := range c.Mounts {
		if own[path.Join("/", m.Destination)] {
			continue
		}
		place := m.Source
		if m.Type == mount.TypeVolume {
			vol, err := e.api.VolumeInspect(ctx, m.Name, client.VolumeInspectOptions{})
			if err != nil {
				return e.fail("inspect volume "+m.Name, err)
			}
			place = m.Name
			s.Volumes = append(s.Volumes, steady.Volume{Key: cmp.Or(vol.Volume.Labels[labelVolume], m.Name), Name: m.Name, External: true})
		}
		if m.RW && (m.Type == mount.TypeVolume || m.Type == mount.TypeBind) {
			s.State = append(s.State, place)
		}
	}
	slices.Sort(s.State)
	return nil
}

// recoverNetworks tells the networks, with the names that the service has there: on
// its holder where it has one, else on the container.
func (e *Engine) recoverNetworks(ctx context.Context, c container.InspectResponse, s *steady.Spec) error {
	mode := c.HostConfig.NetworkMode
	if mode.IsHost() || mode.IsNone() || mode.IsContainer() || mode.IsBridge() || mode.IsDefault() {
		s.NetworkMode = string(mode)
		return nil
	}
	named := c
	holder, err := e.inspect(ctx, steady.HolderName(s.Project, s.Service))
	switch {
	case err == nil && holds(holder, s.Project, s.Service):
		named = holder
	case err != nil && !errors.Is(err, steady.ErrNoReplica):
		return err
	default:
		s.Internal = steady.InternalOff
	}
	names := slices.Sorted(maps.Keys(c.NetworkSettings.Networks))
	if i := slices.Index(names, string(mode)); i > 0 { // the one that the container was created in comes first
		names = slices.Insert(slices.Delete(names, i, i+1), 0, string(mode))
	}
	for _, name := range names {
		n, err := e.recoverNetwork(ctx, named, c, name)
		if err != nil {
			return err
		}
		s.Networks = append(s.Networks, n)
	}
	return nil
}

func (e *Engine) recoverNetwork(ctx context.Context, named, c container.InspectResponse, name string) (steady.Network, error) {
	net, there, err := e.network(ctx, name)
	if err != nil {
		return steady.Network{}, err
	}
	out := steady.Network{Key: cmp.Or(net.Labels[labelNetwork], name), Name: name, External: !there || net.Labels[labelProject] == ""}
	ep := named.NetworkSettings.Networks[name]
	if ep == nil {
		ep = &network.EndpointSettings{}
	}
	out.Aliases = slices.DeleteFunc(slices.Clone(ep.Aliases), func(a string) bool { // Engines before 26 add the ID
		return a == "" || strings.HasPrefix(named.ID, a)
	})
	kept := network.EndpointSettings{IPAMConfig: ep.IPAMConfig, Aliases: out.Aliases}
	if own := c.NetworkSettings.Networks[name]; own != nil {
		kept.Links, kept.DriverOpts = own.Links, own.DriverOpts
	}
	if out.Endpoint, err = json.Marshal(kept); err != nil {
		return out, fmt.Errorf("write the endpoint in network %s: %w", name, err)
	}
	return out, nil
}
