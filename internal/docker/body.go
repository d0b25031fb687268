package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"gesalpai.ch/steady"
)

// body is the call that creates a replica, and the networks to join after it.
type body struct {
	container.CreateRequest
	rest []join // networks that the call does not carry
	ask  []join // networks of which we must find out whether an endpoint can move
}

// join is one network of a replica and its endpoint there, without names.
type join struct {
	network  string
	id       string
	endpoint *network.EndpointSettings
	names    []string
}

// body turns Compose's captured call into ours: no host ports, our name, labels
// and images, and the names left out of the networks.
func (e *Engine) body(ctx context.Context, r steady.Release, n int, rollout int64) (body, error) {
	b := body{CreateRequest: container.CreateRequest{Config: &container.Config{}}}
	if err := json.Unmarshal(r.Spec.Container, &b.CreateRequest); err != nil {
		return b, fmt.Errorf("read the container of %s: %w", r.Spec.Ref(), err)
	}
	if b.HostConfig == nil {
		b.HostConfig = &container.HostConfig{}
	}
	b.HostConfig.PortBindings = nil
	b.HostConfig.PublishAllPorts = false
	imageID := r.Image.ID
	if imageID == "" {
		img, err := e.Image(ctx, r.Spec.Image)
		if err != nil {
			return b, err
		}
		imageID = img.ID
	}
	b.Labels = maps.Clone(b.Labels)
	if b.Labels == nil {
		b.Labels = map[string]string{}
	}
	delete(b.Labels, labelReplace)
	b.Labels[labelNumber] = strconv.Itoa(n)
	b.Labels[labelImage] = imageID
	b.Labels[labelRestart] = policyText(b.HostConfig.RestartPolicy)
	b.Labels[steady.LabelRelease] = strconv.Itoa(r.Number)
	b.Labels[steady.LabelRollout] = strconv.FormatInt(rollout, 10)
	if err := e.share(ctx, r.Spec, b.HostConfig); err != nil {
		return b, err
	}
	if err := e.yieldVolumes(ctx, &b); err != nil {
		return b, err
	}
	return b, e.joins(ctx, r.Spec, &b)
}

// joins fills in the networks: all of them in the call that creates the container
// where the API takes that, and else the first.
func (e *Engine) joins(ctx context.Context, spec steady.Spec, b *body) error {
	if len(spec.Networks) == 0 {
		bare(b.NetworkingConfig)
		return nil
	}
	old, err := e.before(ctx, apiManyEndpoints)
	if err != nil {
		return err
	}
	b.NetworkingConfig = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{}}
	held, _ := spec.Held()
	var static []string
	for i, n := range spec.Networks {
		n.Aliases = namesOf(spec, n)
		if held && n.External && slices.Contains(n.Aliases, b.Hostname) { // within the project package compose sees to it
			e.log.Warn("containers of other projects find replicas before they are ready: their hostname is a name of the service", "service", spec.Ref(), "network", n.Name)
		}
		j, movable, known, err := e.join(ctx, spec, n)
		if err != nil {
			return err
		}
		if old && len(j.endpoint.MacAddress) > 0 {
			return steady.ErrUnsupported.With(
				fmt.Sprintf("%s has a mac_address in network %s, which Docker Engine takes from 25.0 on only", spec.Ref(), n.Key), "docker version")
		}
		if fixed(j.endpoint) != "" {
			static = append(static, n.Name)
		}
		if !held && known && !movable {
			j.endpoint.Aliases = n.Aliases
			e.log.Warn("names are given before the replica is ready: the network has no declared subnet", "service", spec.Ref(), "network", n.Name)
		}
		if !held && !known {
			b.ask = append(b.ask, j)
		}
		if i > 0 && old {
			b.rest = append(b.rest, j)
			continue
		}
		b.NetworkingConfig.EndpointsConfig[n.Name] = j.endpoint
	}
	if len(static) > 0 {
		b.Labels[labelStatic] = strings.Join(static, ",")
	}
	return nil
}

// join reads one network of a spec and what is known of it.
func (e *Engine) join(ctx context.Context, spec steady.Spec, n steady.Network) (j join, movable, known bool, err error) {
	ep, err := replicaEndpoint(spec, n)
	if err != nil {
		return join{}, false, false, err
	}
	net, there, err := e.network(ctx, n.Name)
	if err != nil {
		return join{}, false, false, err
	}
	if !there {
		return join{}, false, false, noNetwork(n)
	}
	movable, known = e.canMove(net)
	return join{network: n.Name, id: net.ID, endpoint: ep, names: n.Aliases}, movable, known, nil
}

// endpointOf is the endpoint as Compose would send it, without its names.
func endpointOf(n steady.Network) (*network.EndpointSettings, error) {
	ep := &network.EndpointSettings{}
	if len(n.Endpoint) > 0 {
		if err := json.Unmarshal(n.Endpoint, ep); err != nil {
			return nil, fmt.Errorf("read the endpoint in network %s: %w", n.Name, err)
		}
	}
	ep.Aliases = nil
	return ep, nil
}

// replicaEndpoint is a replica's endpoint, without names. A fixed address is the
// service's: where a holder has it, replicas take any, and can stand side by side.
func replicaEndpoint(spec steady.Spec, n steady.Network) (*network.EndpointSettings, error) {
	ep, err := endpointOf(n)
	if err != nil {
		return nil, err
	}
	if held, _ := spec.Held(); held && ep.IPAMConfig != nil {
		ep.IPAMConfig.IPv4Address, ep.IPAMConfig.IPv6Address = netip.Addr{}, netip.Addr{}
	}
	return ep, nil
}

// bare takes the names from the networks of a call that our spec knows nothing of.
func bare(c *network.NetworkingConfig) {
	if c == nil {
		return
	}
	for _, ep := range c.EndpointsConfig {
		if ep != nil {
			ep.Aliases = nil
		}
	}
}

// fixed is the address that a configuration asks for, empty when it asks for none.
func fixed(ep *network.EndpointSettings) string {
	if ep == nil || ep.IPAMConfig == nil {
		return ""
	}
	return strings.TrimSpace(addr(ep.IPAMConfig.IPv4Address) + " " + addr(ep.IPAMConfig.IPv6Address))
}
