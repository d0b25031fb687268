package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"gesalpai.ch/steady"
)

// backWithin bounds the return to a network: a replica that was taken out of one
// must not stay out because its caller has given up.
const backWithin = 30 * time.Second

// Name gives the replica the service's names in its networks. The Engine sets
// names only when a container joins, so it leaves each network and joins again at
// once with the same addresses. Where it has its names, nothing is done. The
// networks take turns: the Engine locks the container anyway, and a replica that
// is out of one can still be reached in the others. Names that belong to a holder are
// given to nobody else. A network that the replica is not in, as somebody has taken it
// out, it joins again.
func (e *Engine) Name(ctx context.Context, r steady.Release, name string) error {
	before, err := e.inspect(ctx, name)
	if err != nil {
		return err
	}
	held, _ := r.Spec.Held()
	changed := false
	for _, n := range r.Spec.Networks {
		n.Aliases = namesOf(r.Spec, n)
		ep := before.NetworkSettings.Networks[n.Name]
		if ep != nil && (held || named(ep, n.Aliases)) {
			continue
		}
		changed = true
		if err := e.rejoin(ctx, name, r.Spec, n, ep); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return e.kept(ctx, name, before)
}

func named(ep *network.EndpointSettings, names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(ep.Aliases, n) })
}

// rejoin leaves a network and joins it again with the names. old is nil where a
// crash came between the two, or somebody took the replica out.
func (e *Engine) rejoin(ctx context.Context, name string, spec steady.Spec, n steady.Network, old *network.EndpointSettings) error {
	ep, err := namedEndpoint(spec, n)
	if err != nil {
		return err
	}
	if old == nil {
		return e.connect(ctx, name, n.Name, ep)
	}
	pin(ep, old)
	if err := e.disconnect(ctx, name, n.Name); err != nil {
		return err
	}
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	if err = e.connect(back, name, n.Name, ep); err == nil {
		return nil
	}
	// Its address is lost to it. Better there with another one than not at all; the
	// error makes the rollout undo it.
	loose, _ := namedEndpoint(spec, n)
	if lerr := e.connect(back, name, n.Name, loose); lerr != nil {
		e.log.Error("replica is out of its network", "replica", name, "network", n.Name, "err", lerr)
	}
	return err
}

// namedEndpoint is a replica's endpoint with the names that it is to have there.
func namedEndpoint(spec steady.Spec, n steady.Network) (*network.EndpointSettings, error) {
	ep, err := replicaEndpoint(spec, n)
	if held, _ := spec.Held(); err == nil && !held {
		ep.Aliases = n.Aliases
	}
	return ep, err
}

// pin asks for the addresses that the endpoint has now, if it has any.
func pin(ep, now *network.EndpointSettings) {
	if !now.IPAddress.IsValid() && !now.GlobalIPv6Address.IsValid() {
		return
	}
	if ep.IPAMConfig == nil {
		ep.IPAMConfig = &network.EndpointIPAMConfig{}
	}
	ep.IPAMConfig.IPv4Address, ep.IPAMConfig.IPv6Address = now.IPAddress, now.GlobalIPv6Address
}

// kept verifies that the addresses are what they were.
func (e *Engine) kept(ctx context.Context, name string, before container.InspectResponse) error {
	after, err := e.inspect(ctx, name)
	if err != nil {
		return err
	}
	now := addresses(after)
	for net, addr := range addresses(before) {
		if now[net] != addr {
			return fmt.Errorf("name %s: its address in network %s went from %s to %q", name, net, addr, now[net])
		}
	}
	return nil
}

// unpin takes back the addresses that Name fixed, of a container that does not run
// and whose address someone else has now. It says whether there were any.
func (e *Engine) unpin(ctx context.Context, c container.InspectResponse) (bool, error) {
	static := strings.Split(c.Config.Labels[labelStatic], ",")
	if c.Config.Labels[steady.LabelRelease] == "" {
		return false, nil // made by Compose: what is fixed there, the file has fixed
	}
	any := false
	for net, ep := range c.NetworkSettings.Networks {
		if fixed(ep) == "" || slices.Contains(static, net) {
			continue
		}
		any = true
		free := &network.EndpointSettings{Aliases: ep.Aliases, Links: ep.Links, DriverOpts: ep.DriverOpts, GwPriority: ep.GwPriority}
		if err := e.disconnect(ctx, c.ID, net); err != nil {
			return true, err
		}
		if err := e.connect(ctx, c.ID, net, free); err != nil {
			return true, err
		}
	}
	return any, nil
}
