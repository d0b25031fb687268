package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"

	"gesalpai.ch/steady"
)

// share puts the containers that serve now in the place of those that Compose
// would have made, where a replica lives in another service's network, process
// space, memory or volumes. A body that names a container by its ID stays as it is.
func (e *Engine) share(ctx context.Context, spec steady.Spec, h *container.HostConfig) error {
	network := string(h.NetworkMode)
	if strings.HasPrefix(spec.NetworkMode, "service:") && !resolved(network) {
		network = spec.NetworkMode
	}
	var err error
	if network, err = e.shared(ctx, spec.Project, network); err != nil {
		return err
	}
	ipc, err := e.shared(ctx, spec.Project, string(h.IpcMode))
	if err != nil {
		return err
	}
	pid, err := e.shared(ctx, spec.Project, string(h.PidMode))
	if err != nil {
		return err
	}
	h.NetworkMode, h.IpcMode, h.PidMode = container.NetworkMode(network), container.IpcMode(ipc), container.PidMode(pid)
	for i, from := range h.VolumesFrom {
		name, mode, _ := strings.Cut(from, ":")
		id, err := e.standsFor(ctx, spec.Project, name)
		if err != nil {
			return err
		}
		if mode != "" {
			id += ":" + mode
		}
		h.VolumesFrom[i] = id
	}
	return nil
}

// resolved says whether a mode names its container by ID.
func resolved(mode string) bool {
	id, other := strings.CutPrefix(mode, "container:")
	return other && steady.Unnamed(id)
}

// joined are the containers whose namespaces a container has, by the kind of namespace.
func joined(h *container.HostConfig) map[string]string {
	var out map[string]string
	if h.NetworkMode.IsContainer() || h.IpcMode.IsContainer() || h.PidMode.IsContainer() {
		out = map[string]string{}
	}
	if h.NetworkMode.IsContainer() {
		out[steady.ShareNetwork] = h.NetworkMode.ConnectedContainer()
	}
	if h.IpcMode.IsContainer() {
		out[steady.ShareIPC] = h.IpcMode.Container()
	}
	if h.PidMode.IsContainer() {
		out[steady.SharePID] = h.PidMode.Container()
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// rejoins says whether a container has other namespaces than the call would give it
// which names them by ID: it was made for another container.
func rejoins(c container.InspectResponse, spec steady.Spec) bool {
	var b body
	if json.Unmarshal(spec.Container, &b.CreateRequest) != nil || b.HostConfig == nil {
		return false
	}
	was := joined(c.HostConfig)
	for kind, id := range joined(b.HostConfig) {
		if steady.Unnamed(id) && was[kind] != id {
			return true
		}
	}
	return false
}

// shared resolves a mode: "service:x" and "container:<name that Compose would have
// given x>" to the container that serves x now; any other stays as it is.
func (e *Engine) shared(ctx context.Context, project, mode string) (string, error) {
	if service, ok := strings.CutPrefix(mode, "service:"); ok {
		id, err := e.serving(ctx, project, service)
		if err == nil && id == "" {
			err = steady.ErrNoReplica.With(fmt.Sprintf("there is no container of %s/%s to share with", project, service), "steady deploy "+service)
		}
		return "container:" + id, err
	}
	if name, ok := strings.CutPrefix(mode, "container:"); ok {
		id, err := e.standsFor(ctx, project, name)
		return "container:" + id, err
	}
	return mode, nil
}

// standsFor gives the serving container of x for the name "<project>-x-1", and any
// other name as it is.
func (e *Engine) standsFor(ctx context.Context, project, name string) (string, error) {
	service, ok := strings.CutPrefix(name, project+"-")
	if !ok {
		return name, nil
	}
	service, ok = strings.CutSuffix(service, "-1")
	if !ok {
		return name, nil
	}
	id, err := e.serving(ctx, project, service)
	if err != nil || id == "" {
		return name, err
	}
	return id, nil
}

// serving is the ID of a service's newest running container, or of its newest
// where none runs; empty when there is none.
func (e *Engine) serving(ctx context.Context, project, service string) (string, error) {
	seen, err := e.Observe(ctx, project, nil)
	if err != nil {
		return "", err
	}
	var id string
	running, release := false, -1
	for _, r := range seen.Of(service) {
		if r.Running() == running && r.Release > release || r.Running() && !running {
			id, running, release = r.ID, r.Running(), r.Release
		}
	}
	return id, nil
}

// recoverShares has a container name those of its project with which it shares as
// Compose would: their IDs are those of one release.
func (e *Engine) recoverShares(ctx context.Context, c container.InspectResponse) (container.InspectResponse, error) {
	host := *c.HostConfig
	named := func(id string) (string, error) {
		other, err := e.inspect(ctx, id)
		if errors.Is(err, steady.ErrNoReplica) {
			return id, nil
		}
		if err != nil {
			return "", err
		}
		labels := other.Config.Labels
		if labels[labelProject] != c.Config.Labels[labelProject] || labels[labelService] == "" {
			return id, nil
		}
		return labels[labelProject] + "-" + labels[labelService] + "-" + labels[labelNumber], nil
	}
	mode := func(text string) (string, error) {
		id, shares := strings.CutPrefix(text, "container:")
		if !shares {
			return text, nil
		}
		name, err := named(id)
		return "container:" + name, err
	}
	network, err := mode(string(host.NetworkMode))
	ipc, ierr := mode(string(host.IpcMode))
	pid, perr := mode(string(host.PidMode))
	if err := errors.Join(err, ierr, perr); err != nil {
		return c, err
	}
	host.NetworkMode, host.IpcMode, host.PidMode = container.NetworkMode(network), container.IpcMode(ipc), container.PidMode(pid)
	host.VolumesFrom = slices.Clone(host.VolumesFrom)
	for i, from := range host.VolumesFrom {
		id, options, _ := strings.Cut(from, ":")
		if host.VolumesFrom[i], err = named(id); err != nil {
			return c, err
		}
		if options != "" {
			host.VolumesFrom[i] += ":" + options
		}
	}
	c.HostConfig = &host
	return c, nil
}
