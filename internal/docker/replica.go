package docker

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// Replica looks up one container; steady.ErrNoReplica when it is not there.
func (e *Engine) Replica(ctx context.Context, name string) (steady.Replica, error) {
	c, err := e.inspect(ctx, name)
	if err != nil {
		return steady.Replica{}, err
	}
	return e.replica(ctx, c), nil
}

func (e *Engine) inspect(ctx context.Context, name string) (container.InspectResponse, error) {
	got, err := e.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if gone(err) {
		return container.InspectResponse{}, noReplica(name)
	}
	if err != nil {
		return container.InspectResponse{}, e.fail("inspect container "+name, err)
	}
	return got.Container, nil
}

// replica reads a container. One that lives in another's network (network_mode:
// service:x) has the addresses of that one.
func (e *Engine) replica(ctx context.Context, c container.InspectResponse) steady.Replica {
	r := replicaOf(c)
	for range mostHosts {
		if !c.HostConfig.NetworkMode.IsContainer() {
			break
		}
		host, err := e.inspect(ctx, c.HostConfig.NetworkMode.ConnectedContainer())
		if err != nil { // it is gone, and with it the address
			return r
		}
		c = host
		r.Addresses, r.HostNet = addresses(host), host.HostConfig.NetworkMode.IsHost()
	}
	return r
}

// mostHosts is how many containers may live in each other's network, one in the next.
const mostHosts = 8

func replicaOf(c container.InspectResponse) steady.Replica {
	labels := c.Config.Labels
	r := steady.Replica{
		ID:        c.ID,
		Name:      strings.TrimPrefix(c.Name, "/"),
		Service:   labels[labelService],
		Image:     c.Image,
		State:     string(c.State.Status),
		ExitCode:  c.State.ExitCode,
		OOM:       c.State.OOMKilled,
		Restarts:  c.RestartCount,
		Addresses: addresses(c),
		Networks:  networksOf(c),
		Published: published(c),
		Exposed:   exposed(c),
		HostNet:   c.HostConfig.NetworkMode.IsHost(),
		Limits:    limits(c.HostConfig.Resources),
		Restart:   policyText(c.HostConfig.RestartPolicy),
		Volumes:   mountedVolumes(c),
		Joined:    joined(c.HostConfig),
		Refused:   c.State.Error,
	}
	if serving, ours := labels[labelRestart]; ours {
		r.Restart = policyText(policyOf(serving))
	}
	r.Release, _ = strconv.Atoi(labels[steady.LabelRelease])
	r.Number, _ = strconv.Atoi(labels[labelNumber])
	r.Rollout, _ = strconv.ParseInt(labels[steady.LabelRollout], 10, 64)
	if started, err := time.Parse(time.RFC3339Nano, c.State.StartedAt); err == nil && started.Year() > 1 {
		r.Started = started
	}
	if created, err := time.Parse(time.RFC3339Nano, c.Created); err == nil {
		r.Created = created
	}
	if c.State.Running {
		r.PID = c.State.Pid
	}
	if h := c.State.Health; h != nil && h.Status != container.NoHealthcheck {
		r.Health = string(h.Status)
		if n := len(h.Log); n > 0 && h.Log[n-1] != nil && h.Status == container.Unhealthy {
			r.Check = checkText(h.Log[n-1])
		}
	}
	return r
}

// networksOf names the networks that a container is in, sorted.
func networksOf(c container.InspectResponse) []string {
	if c.NetworkSettings == nil {
		return nil
	}
	out := make([]string, 0, len(c.NetworkSettings.Networks))
	for name := range c.NetworkSettings.Networks {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// addresses are a container's by network, IPv4 where it has one.
func addresses(c container.InspectResponse) map[string]string {
	out := map[string]string{}
	if c.NetworkSettings == nil {
		return nil
	}
	for name, ep := range c.NetworkSettings.Networks {
		switch {
		case ep == nil:
		case ep.IPAddress.IsValid():
			out[name] = ep.IPAddress.String()
		case ep.GlobalIPv6Address.IsValid():
			out[name] = ep.GlobalIPv6Address.String()
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// published lists the host ports that a container publishes itself: those it has
// while it runs, those it will ask for else.
func published(c container.InspectResponse) []steady.Port {
	ports := c.HostConfig.PortBindings
	if c.State.Running && c.NetworkSettings != nil && len(c.NetworkSettings.Ports) > 0 {
		ports = c.NetworkSettings.Ports
	}
	var out []steady.Port
	seen := map[steady.Port]bool{}
	for target, bindings := range ports {
		for _, b := range bindings {
			p := portOf(target, b)
			if !seen[p] {
				seen[p] = true
				out = append(out, p)
			}
		}
	}
	slices.SortFunc(out, comparePorts)
	return out
}

// exposed lists the TCP ports that the file or the image declares.
func exposed(c container.InspectResponse) []uint16 {
	var out []uint16
	for p := range c.Config.ExposedPorts {
		if p.Proto() == network.TCP {
			out = append(out, p.Num())
		}
	}
	slices.Sort(out)
	return out
}

// portOf is one binding. The Engine tells of 0.0.0.0 and of :: where a file says
// nothing: both are every address.
func portOf(target network.Port, b network.PortBinding) steady.Port {
	p := steady.Port{Target: target.Num(), Transport: string(target.Proto()), Protocol: steady.Auto}
	if host, err := strconv.ParseUint(b.HostPort, 10, 16); err == nil {
		p.Published = uint16(host)
	}
	if b.HostIP.IsValid() && b.HostIP != netip.IPv4Unspecified() && b.HostIP != netip.IPv6Unspecified() {
		p.HostIP = b.HostIP.String()
	}
	return p
}

func comparePorts(a, b steady.Port) int {
	return cmp.Or(cmp.Compare(a.Published, b.Published), cmp.Compare(a.Target, b.Target),
		cmp.Compare(a.Transport, b.Transport), cmp.Compare(a.HostIP, b.HostIP))
}
