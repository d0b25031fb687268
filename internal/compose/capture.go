package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"
)

// version is the docker compose release whose code we capture, and what it would
// stamp on what it makes. The SDK knows it only when built as the plugin; a test
// holds it to go.mod.
const version = "5.6.0"

// calls are the bodies of the Engine calls that Compose would make.
type calls struct {
	containers map[string]container.CreateRequest // by service
	networks   map[string]json.RawMessage         // by name on the Engine
	volumes    map[string]json.RawMessage         // by name on the Engine
}

// capture lets Compose create the project on an Engine that is not there, one
// replica of each service.
func capture(ctx context.Context, model *types.Project) (calls, error) {
	engine := newOffline()
	for _, n := range model.Networks {
		if n.External {
			engine.externalNetworks[n.Name] = true
		}
	}
	for _, v := range model.Volumes {
		if v.External {
			engine.externalVolumes[v.Name] = true
		}
	}
	service, err := composeOn(engine)
	if err != nil {
		return calls{}, fmt.Errorf("start Compose: %w", err)
	}
	single, err := one(model)
	if err != nil {
		return calls{}, fmt.Errorf("copy the model: %w", err)
	}
	err = service.Create(ctx, single, api.CreateOptions{
		Recreate:             api.RecreateNever,
		RecreateDependencies: api.RecreateNever,
		IgnoreOrphans:        true,
		SkipProviders:        true,
	})
	if err != nil {
		return calls{}, err
	}
	return engine.calls(model)
}

// composeOn is Compose's own service on the given Engine. It prints nothing.
func composeOn(engine *offline) (api.Compose, error) {
	docker, err := command.NewDockerCli(command.WithCombinedStreams(io.Discard))
	if err != nil {
		return nil, err
	}
	// A host of our own: the user's Docker context may be gone or broken, upon
	// which the library would end the process.
	options := flags.NewClientOptions()
	options.Hosts = []string{client.DefaultDockerHost}
	err = docker.Initialize(options, command.WithInitializeClient(
		func(*command.DockerCli) (client.APIClient, error) { return engine.client() }))
	if err != nil {
		return nil, err
	}
	return compose.NewComposeService(docker)
}

// one copies the model for the capture: one replica of every service, also of
// those scaled to 0, and nothing to pull. None of it enters the config-hash, nor
// the call.
func one(model *types.Project) (*types.Project, error) {
	return model.WithServicesTransform(func(_ string, s types.ServiceConfig) (types.ServiceConfig, error) {
		n := 1
		s.Scale = &n
		s.PullPolicy = types.PullPolicyNever
		return s, nil
	})
}

// calls sorts what was captured by service, in a form that is the same each time.
func (o *offline) calls(model *types.Project) (calls, error) {
	c := calls{containers: map[string]container.CreateRequest{}, networks: o.networks, volumes: o.volumes}
	for name := range o.networks {
		body, err := stamped[network.CreateRequest](o.networks[name], func(r *network.CreateRequest) { stamp(r.Labels) })
		if err != nil {
			return c, fmt.Errorf("read network %s: %w", name, err)
		}
		c.networks[name] = body
	}
	for name := range o.volumes {
		body, err := stamped[volume.CreateRequest](o.volumes[name], func(r *volume.CreateRequest) { stamp(r.Labels) })
		if err != nil {
			return c, fmt.Errorf("read volume %s: %w", name, err)
		}
		c.volumes[name] = body
	}
	for _, r := range o.containers {
		if r.Labels[api.HookLabel] == "" {
			c.containers[r.Labels[api.ServiceLabel]] = steadied(r)
		}
	}
	for name := range model.Services {
		if _, ok := c.containers[name]; !ok {
			return c, fmt.Errorf("no container was made for service %s", name)
		}
	}
	return c, nil
}

// stamped changes a captured body through its type.
func stamped[T any](body json.RawMessage, change func(*T)) (json.RawMessage, error) {
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, err
	}
	change(&v)
	return json.Marshal(v)
}

func stamp(labels map[string]string) {
	if labels != nil {
		labels[api.VersionLabel] = version
	}
}

// steadied sorts what Compose takes from maps and thus sends in another order
// each time: a spec's digest must not depend on it.
func steadied(r container.CreateRequest) container.CreateRequest {
	stamp(r.Labels)
	deps := strings.Split(r.Labels[api.DependenciesLabel], ",")
	slices.Sort(deps)
	r.Labels[api.DependenciesLabel] = strings.Join(deps, ",")
	slices.Sort(r.Env)
	slices.SortFunc(r.HostConfig.Binds, func(a, b string) int { return strings.Compare(behind(a, ":"), behind(b, ":")) })
	// One host may have several addresses, whose order is the file's.
	slices.SortStableFunc(r.HostConfig.ExtraHosts, func(a, b string) int {
		return strings.Compare(before(a, ":"), before(b, ":"))
	})
	slices.SortFunc(r.HostConfig.Mounts, func(a, b mount.Mount) int { return strings.Compare(a.Target, b.Target) })
	slices.SortFunc(r.HostConfig.Ulimits, func(a, b *container.Ulimit) int { return strings.Compare(a.Name, b.Name) })
	return r
}

func before(s, sep string) string {
	head, _, _ := strings.Cut(s, sep)
	return head
}

func behind(s, sep string) string {
	_, tail, _ := strings.Cut(s, sep)
	return tail
}
