package docker

import (
	"context"
	"net/netip"
	"strings"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// canMove says whether an endpoint of a network can be taken away and come back
// with its address, and whether we know. Engines take an address only in a network
// whose subnet was declared, and do not tell which networks those are: the answer
// is known of the networks we made and of those we have asked about.
func (e *Engine) canMove(n network.Inspect) (movable, known bool) {
	if n.Labels[labelSubnet] == subnetDeclared {
		return true, true
	}
	for _, c := range n.IPAM.Config {
		if c.IPRange.IsValid() { // nobody but a person sets one
			return true, true
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	movable, known = e.movable[n.ID]
	return movable, known
}

// joinRest joins the networks that the creating call did not carry, and finds out
// about those we know nothing of. The container was not started yet: joining is an
// entry in its configuration.
func (e *Engine) joinRest(ctx context.Context, name string, b body) error {
	for _, j := range b.rest {
		if err := e.connect(ctx, name, j.network, j.endpoint); err != nil {
			return err
		}
	}
	for _, j := range b.ask {
		if err := e.ask(ctx, name, j); err != nil {
			return err
		}
	}
	return nil
}

// ask tries a fixed address on a container that does not run. Where the Engine
// takes none, the replica has its names from the start.
func (e *Engine) ask(ctx context.Context, name string, j join) error {
	net, _, err := e.network(ctx, j.network)
	if err != nil {
		return err
	}
	if err := e.disconnect(ctx, name, j.network); err != nil {
		return err
	}
	movable := false
	if at, ok := within(net); ok {
		tried := j.endpoint.Copy()
		tried.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: at}
		err := e.connect(ctx, name, j.network, tried)
		if movable = err == nil; movable {
			err = e.disconnect(ctx, name, j.network)
		}
		if err != nil && !strings.Contains(err.Error(), "user configured subnets") {
			return err
		}
	}
	ep := j.endpoint.Copy()
	if !movable {
		ep.Aliases = j.names
		e.log.Warn("names are given before the replica is ready: the network has no declared subnet", "replica", name, "network", j.network)
	}
	e.mu.Lock()
	e.movable[j.id] = movable
	e.mu.Unlock()
	return e.connect(ctx, name, j.network, ep)
}

// within is some IPv4 address of a network's subnet.
func within(n network.Inspect) (netip.Addr, bool) {
	for _, c := range n.IPAM.Config {
		if c.Subnet.IsValid() && c.Subnet.Addr().Is4() {
			return c.Subnet.Masked().Addr().Next().Next(), true
		}
	}
	return netip.Addr{}, false
}

func (e *Engine) connect(ctx context.Context, name, net string, ep *network.EndpointSettings) error {
	_, err := e.api.NetworkConnect(ctx, net, client.NetworkConnectOptions{Container: name, EndpointConfig: ep})
	return e.fail("connect "+name+" to network "+net, err)
}

func (e *Engine) disconnect(ctx context.Context, name, net string) error {
	_, err := e.api.NetworkDisconnect(ctx, net, client.NetworkDisconnectOptions{Container: name})
	return e.fail("disconnect "+name+" from network "+net, err)
}
