package docker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"gesalpai.ch/steady"
)

// seatTries is how often an address may be snatched away between the choice of it
// and its use.
const seatTries = 5

// seatAll brings the holder into the spec's networks and out of those that the
// service has left. The addresses in the others stay.
func (e *Engine) seatAll(ctx context.Context, spec steady.Spec, c container.InspectResponse) error {
	for _, n := range spec.Networks {
		n.Aliases = namesOf(spec, n)
		ok, err := seated(spec, c, n)
		if err == nil && !ok {
			err = e.sit(ctx, spec, c, n, nil)
		}
		if err != nil {
			return err
		}
	}
	return e.leave(ctx, spec, c)
}

// seated says whether the holder is in a network as it should be: with the names and
// none that may be another service's by now, and with the file's address.
func seated(spec steady.Spec, c container.InspectResponse, n steady.Network) (bool, error) {
	want, err := endpointOf(n)
	if err != nil {
		return false, err
	}
	ep := c.NetworkSettings.Networks[n.Name]
	if ep == nil {
		return false, nil
	}
	has := slices.DeleteFunc(slices.Clone(ep.Aliases), func(a string) bool { // Engines before 26 add the ID
		return a != "" && strings.HasPrefix(c.ID, a)
	})
	foreign := func(a string) bool { return !slices.Contains(n.Aliases, a) && !formerName(spec, a) }
	missing := func(a string) bool { return !slices.Contains(has, a) }
	if slices.ContainsFunc(has, foreign) || slices.ContainsFunc(n.Aliases, missing) {
		return false, nil
	}
	file, now := pinned(want), pinned(ep)
	return (!file.IPv4Address.IsValid() || file.IPv4Address == now.IPv4Address) &&
		(!file.IPv6Address.IsValid() || file.IPv6Address == now.IPv6Address), nil
}

// pinned are the addresses that a configuration asks for.
func pinned(ep *network.EndpointSettings) network.EndpointIPAMConfig {
	if ep == nil || ep.IPAMConfig == nil {
		return network.EndpointIPAMConfig{}
	}
	return network.EndpointIPAMConfig{IPv4Address: ep.IPAMConfig.IPv4Address, IPv6Address: ep.IPAMConfig.IPv6Address}
}

// sit brings the holder into a network, out of it first where it is there otherwise:
// with the address that the file gives it, else the one it has, else a seat. It
// passes over the addresses in not.
func (e *Engine) sit(ctx context.Context, spec steady.Spec, c container.InspectResponse, n steady.Network, not []netip.Addr) error {
	n.Aliases = namesOf(spec, n)
	net, there, err := e.network(ctx, n.Name)
	if err != nil {
		return err
	}
	if !there {
		return noNetwork(n)
	}
	want, err := endpointOf(n)
	if err != nil {
		return err
	}
	file := pinned(want)
	if who := occupant(net, file, c.ID); who != "" {
		return addressOfAnother(spec, n, file, who)
	}
	old := c.NetworkSettings.Networks[n.Name]
	if old != nil {
		if err := e.disconnect(ctx, c.ID, n.Name); err != nil {
			return err
		}
	}
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	at := keep(file, old, not)
	if !at.IPv4Address.IsValid() {
		at.IPv4Address, _ = seat(net, spec.Ref(), not)
	}
	for range seatTries {
		if err = e.seatAt(back, c, net, n, at); err == nil || !addressTaken(err) || file.IPv4Address.IsValid() {
			break
		}
		not = append(not, at.IPv4Address)
		at.IPv4Address, _ = seat(net, spec.Ref(), not)
	}
	if err == nil {
		return nil
	}
	// Better there with another address than not at all.
	if lerr := e.connect(back, c.ID, n.Name, &network.EndpointSettings{Aliases: n.Aliases}); lerr != nil {
		e.log.Error("holder is out of its network", "holder", spec.Ref(), "network", n.Name, "err", lerr)
	}
	return err
}

// keep are the addresses that the holder should have: the file's, else those it has.
func keep(file network.EndpointIPAMConfig, old *network.EndpointSettings, not []netip.Addr) network.EndpointIPAMConfig {
	now := pinned(old)
	if old != nil && old.IPAddress.IsValid() {
		now.IPv4Address = old.IPAddress
	}
	if old != nil && old.GlobalIPv6Address.IsValid() {
		now.IPv6Address = old.GlobalIPv6Address
	}
	if slices.Contains(not, now.IPv4Address) {
		now.IPv4Address = netip.Addr{}
	}
	if file.IPv4Address.IsValid() {
		now.IPv4Address = file.IPv4Address
	}
	if file.IPv6Address.IsValid() {
		now.IPv6Address = file.IPv6Address
	}
	return now
}

// seatAt connects the holder with an address, or without one where the network's
// subnet was not declared: see canMove.
func (e *Engine) seatAt(ctx context.Context, c container.InspectResponse, net network.Inspect, n steady.Network, at network.EndpointIPAMConfig) error {
	free := &network.EndpointSettings{Aliases: n.Aliases}
	movable, known := e.canMove(net)
	if known && !movable || !at.IPv4Address.IsValid() && !at.IPv6Address.IsValid() {
		return e.connect(ctx, c.ID, n.Name, free)
	}
	err := e.connect(ctx, c.ID, n.Name, &network.EndpointSettings{Aliases: n.Aliases, IPAMConfig: &at})
	undeclared := err != nil && strings.Contains(err.Error(), "user configured subnets")
	if err == nil || undeclared {
		e.mu.Lock()
		e.movable[net.ID] = !undeclared
		e.mu.Unlock()
	}
	if undeclared {
		e.log.Warn("the holder's address may change when it starts anew: the network has no declared subnet", "holder", strings.TrimPrefix(c.Name, "/"), "network", n.Name)
		return e.connect(ctx, c.ID, n.Name, free)
	}
	return err
}

// startHolder starts it. Another one may have taken its address while it did not run.
func (e *Engine) startHolder(ctx context.Context, spec steady.Spec, c container.InspectResponse) error {
	var err error
	for range seatTries {
		if err = e.start(ctx, c.ID); err == nil || !addressTaken(err) {
			return err
		}
		now, ierr := e.inspect(ctx, c.ID)
		if ierr != nil {
			return ierr
		}
		for _, n := range spec.Networks {
			if rerr := e.seatElsewhere(ctx, spec, now, n); rerr != nil {
				return rerr
			}
		}
	}
	return err
}

// seatElsewhere gives a holder that does not run another address in a network where
// its own is another's by now.
func (e *Engine) seatElsewhere(ctx context.Context, spec steady.Spec, c container.InspectResponse, n steady.Network) error {
	net, _, err := e.network(ctx, n.Name)
	if err != nil {
		return err
	}
	at := pinned(c.NetworkSettings.Networks[n.Name])
	if occupant(net, at, c.ID) == "" {
		return nil
	}
	e.log.Warn("the holder gets another address: its own was taken while it did not run", "holder", spec.Ref(), "network", n.Name)
	return e.sit(ctx, spec, c, n, []netip.Addr{at.IPv4Address})
}

// occupant names the container, other than the one given, that has one of the
// addresses; empty when none has.
func occupant(n network.Inspect, at network.EndpointIPAMConfig, but string) string {
	for id, c := range n.Containers {
		if id != but && (at.IPv4Address.IsValid() && c.IPv4Address.Addr() == at.IPv4Address ||
			at.IPv6Address.IsValid() && c.IPv6Address.Addr() == at.IPv6Address) {
			return c.Name
		}
	}
	return ""
}

func addressOfAnother(spec steady.Spec, n steady.Network, at network.EndpointIPAMConfig, who string) error {
	text := fmt.Sprintf("%s cannot have its address %s in network %s: container %s has it", spec.Ref(),
		strings.TrimSpace(addr(at.IPv4Address)+" "+addr(at.IPv6Address)), n.Name, who)
	return steady.ErrUnsupported.With(text, "docker stop "+who)
}

// leave takes the holder out of networks that the spec does not name, once no
// replica of the service is there any more: those of the release before may still
// be called there.
func (e *Engine) leave(ctx context.Context, spec steady.Spec, c container.InspectResponse) error {
	var surplus []string
	for name := range c.NetworkSettings.Networks {
		if !slices.ContainsFunc(spec.Networks, func(n steady.Network) bool { return n.Name == name }) {
			surplus = append(surplus, name)
		}
	}
	if len(surplus) == 0 {
		return nil
	}
	seen, err := e.Observe(ctx, spec.Project, nil)
	if err != nil {
		return err
	}
	for _, name := range surplus {
		if slices.ContainsFunc(seen.Of(spec.Service), func(r steady.Replica) bool { return r.Addresses[name] != "" }) {
			continue
		}
		if err := e.disconnect(ctx, c.ID, name); err != nil {
			return err
		}
	}
	return nil
}
