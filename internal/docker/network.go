package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// subnetTries is how often a subnet may be snatched away between the look at it
// and its declaration.
const subnetTries = 5

// Values of labelSubnet.
const (
	subnetDeclared = "declared"
	subnetProbe    = "probe"
)

// Prepare makes sure of the spec's networks and volumes, with the labels that
// Compose gives them. An external one that is missing is an error.
func (e *Engine) Prepare(ctx context.Context, spec steady.Spec) error {
	e.preparing.Lock()
	defer e.preparing.Unlock()
	for _, n := range spec.Networks {
		if err := e.prepareNetwork(ctx, n); err != nil {
			return err
		}
	}
	for _, v := range spec.Volumes {
		if err := e.prepareVolume(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) prepareNetwork(ctx context.Context, n steady.Network) error {
	net, there, err := e.network(ctx, n.Name)
	if err != nil {
		return err
	}
	if there && net.Labels[labelSubnet] == subnetProbe && len(net.Containers) == 0 { // a crash came between
		if _, err := e.api.NetworkRemove(ctx, net.ID, client.NetworkRemoveOptions{}); err != nil {
			return e.fail("remove network "+n.Name, err)
		}
		there = false
	}
	switch {
	case there:
		return nil
	case n.External || len(n.Create) == 0:
		return noNetwork(n)
	}
	var req network.CreateRequest
	if err := json.Unmarshal(n.Create, &req); err != nil {
		return fmt.Errorf("read network %s: %w", n.Name, err)
	}
	return e.createNetwork(ctx, n.Name, networkOptions(req))
}

// createNetwork creates a network with a declared subnet, because only there an
// endpoint can be given back its address (see Name). Where the file declares none,
// the Engine is asked which it would take.
func (e *Engine) createNetwork(ctx context.Context, name string, o client.NetworkCreateOptions) error {
	if !plain(o) {
		return e.networkCreate(ctx, name, o)
	}
	var err error
	for range subnetTries {
		asked := o
		asked.Labels = with(o.Labels, labelSubnet, subnetProbe)
		if err := e.networkCreate(ctx, name, asked); err != nil {
			return err
		}
		got, there, ierr := e.network(ctx, name)
		if ierr != nil || !there {
			return fmt.Errorf("look at the new network %s: %w", name, ierr)
		}
		if _, err := e.api.NetworkRemove(ctx, got.ID, client.NetworkRemoveOptions{}); err != nil {
			return e.fail("remove network "+name, err)
		}
		declared := o
		declared.Labels = with(o.Labels, labelSubnet, subnetDeclared)
		declared.IPAM = declare(o.IPAM, got.IPAM.Config)
		if err = e.networkCreate(ctx, name, declared); err == nil || !overlaps(err) {
			return err
		}
	}
	return err
}

// declare names the subnets that the Engine chose.
func declare(asked *network.IPAM, chosen []network.IPAMConfig) *network.IPAM {
	out := &network.IPAM{}
	if asked != nil {
		out.Driver, out.Options = asked.Driver, asked.Options
	}
	for _, c := range chosen {
		out.Config = append(out.Config, network.IPAMConfig{Subnet: c.Subnet, Gateway: c.Gateway})
	}
	return out
}

// plain says whether the Engine would choose the subnet of a bridge.
func plain(o client.NetworkCreateOptions) bool {
	if o.Driver != "" && o.Driver != "bridge" || o.ConfigOnly || o.ConfigFrom != "" {
		return false
	}
	return o.IPAM == nil || (len(o.IPAM.Config) == 0 && (o.IPAM.Driver == "" || o.IPAM.Driver == "default"))
}

func overlaps(err error) bool {
	return strings.Contains(strings.ToLower(err.Error()), "overlap")
}

func (e *Engine) networkCreate(ctx context.Context, name string, o client.NetworkCreateOptions) error {
	_, err := e.api.NetworkCreate(ctx, name, o)
	return e.fail("create network "+name, err)
}

// network looks a network up by its name, not by what its ID begins with.
func (e *Engine) network(ctx context.Context, name string) (network.Inspect, bool, error) {
	got, err := e.api.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return network.Inspect{}, false, nil
	}
	if err != nil {
		return network.Inspect{}, false, e.fail("inspect network "+name, err)
	}
	return got.Network, got.Network.Name == name, nil
}

func noNetwork(n steady.Network) error {
	text := fmt.Sprintf("network %s is not there", n.Name)
	if n.External {
		text = fmt.Sprintf("network %s is external and not there", n.Name)
	}
	return steady.ErrCompose.With(text, "docker network create "+n.Name)
}

func networkOptions(r network.CreateRequest) client.NetworkCreateOptions {
	o := client.NetworkCreateOptions{
		Driver: r.Driver, Scope: r.Scope, EnableIPv4: r.EnableIPv4, EnableIPv6: r.EnableIPv6, IPAM: r.IPAM,
		Internal: r.Internal, Attachable: r.Attachable, Ingress: r.Ingress, ConfigOnly: r.ConfigOnly,
		Options: r.Options, Labels: r.Labels,
	}
	if r.ConfigFrom != nil {
		o.ConfigFrom = r.ConfigFrom.Network
	}
	return o
}

func with(labels map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range labels {
		out[k] = v
	}
	return out
}

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
