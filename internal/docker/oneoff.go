package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"gesalpai.ch/steady"
)

// Oneoff creates a container of the release that runs one command instead of the
// service's own, as `docker compose run` would: the service's environment, volumes
// and networks, no ports, no names, no fixed address, no restart. The container of
// that name is adopted, whatever its state, if the same rollout made it.
func (e *Engine) Oneoff(ctx context.Context, r steady.Release, o steady.Oneoff) (steady.Replica, error) {
	c, err := e.inspect(ctx, o.Name)
	if err == nil {
		if c.Config.Labels[labelProject] != r.Project || c.Config.Labels[steady.LabelRollout] != strconv.FormatInt(o.Rollout, 10) {
			return steady.Replica{}, steady.ErrInternal.With("container "+o.Name+" is there but not of this rollout", "docker rm -f "+o.Name)
		}
		return e.replica(ctx, c), nil
	}
	if !errors.Is(err, steady.ErrNoReplica) {
		return steady.Replica{}, err
	}
	b, err := e.body(ctx, r, 1, o.Rollout)
	if err != nil {
		return steady.Replica{}, err
	}
	b.single(o)
	err = e.create(ctx, o.Name, r, b)
	if errors.Is(err, errMoved) {
		err = e.create(ctx, o.Name, r, b)
	}
	return e.replicaUnless(ctx, o.Name, err)
}

// single makes the call that of a one-off container: nobody finds it by a name of
// the service, and nothing takes it for a replica.
func (b *body) single(o steady.Oneoff) {
	b.Labels[labelOneoff] = "True"
	delete(b.Labels, labelRestart)
	delete(b.Labels, labelStatic)
	b.HostConfig.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}
	b.Config.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}}
	b.Config.ExposedPorts = nil
	b.Config.Hostname, b.Config.Domainname = "", "" // the Engine gives them to the networks, as names
	b.Config.Cmd = o.Command
	if o.Shell && len(o.Command) > 2 {
		b.Config.Entrypoint, b.Config.Cmd = o.Command[:2], o.Command[2:]
	}
	b.Config.Env = slices.Concat(slices.DeleteFunc(slices.Clone(b.Config.Env), func(had string) bool {
		name, _, _ := strings.Cut(had, "=")
		return slices.ContainsFunc(o.Env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}), o.Env)
	if b.NetworkingConfig != nil {
		for _, ep := range b.NetworkingConfig.EndpointsConfig {
			nameless(ep)
		}
	}
	for _, j := range b.rest {
		nameless(j.endpoint)
	}
	b.ask = nil // it never gets names
}

// nameless takes from an endpoint what only a replica may have.
func nameless(ep *network.EndpointSettings) {
	if ep == nil {
		return
	}
	ep.Aliases, ep.MacAddress = nil, nil
	if ep.IPAMConfig != nil {
		ep.IPAMConfig.IPv4Address, ep.IPAMConfig.IPv6Address = netip.Addr{}, netip.Addr{}
	}
}

// Follow says the container's log lines, from its first, until it has stopped.
func (e *Engine) Follow(ctx context.Context, name string, say func(string)) error {
	c, err := e.inspect(ctx, name)
	if err != nil {
		return err
	}
	src := source{id: c.ID, tty: c.Config.Tty, line: steady.LogLine{Replica: name}}
	err = e.read(ctx, src, reading{tail: -1, follow: true}, func(l steady.LogLine) error {
		say(l.Text)
		return nil
	})
	if ctx.Err() != nil {
		return fmt.Errorf("follow the log of %s: %w", name, context.Cause(ctx))
	}
	return err
}
