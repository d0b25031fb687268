// Package control replaces a container as a deploy guide without zero downtime
// does: stop the old one, start the new one on the same published port. It is
// the positive control of the load tests: under the same load, in the same run,
// it must lose, or the rig is blind.
package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// Service is one container that publishes one TCP port on loopback.
type Service struct {
	Engine client.APIClient
	Name   string            // of the container
	Net    string            // network it joins, as Compose's project network; "": the Engine's bridge
	Port   uint16            // on 127.0.0.1
	Inner  uint16            // in the container
	Env    []string          // KEY=value
	Log    map[string]string // options of the syslog driver; nil: the Engine's default driver
	Labels map[string]string // of the container
}

// Replace does the guide's procedure: stop what runs, remove it, create and
// start the image in its place, without waiting until it can serve. Extra are
// further KEY=value pairs of this container's environment. The first call only
// starts.
func (s *Service) Replace(ctx context.Context, image string, extra ...string) error {
	if err := s.Down(ctx); err != nil {
		return err
	}
	made, err := s.Engine.ContainerCreate(ctx, s.options(image, extra))
	if err != nil {
		return fmt.Errorf("create %s: %w", s.Name, err)
	}
	if _, err := s.Engine.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	return nil
}

// Down stops the container, with the Engine's grace, and removes it. One that is
// not there is no error.
func (s *Service) Down(ctx context.Context) error {
	_, err := s.Engine.ContainerStop(ctx, s.Name, client.ContainerStopOptions{})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("stop %s: %w", s.Name, err)
	}
	_, err = s.Engine.ContainerRemove(ctx, s.Name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove %s: %w", s.Name, err)
	}
	return nil
}

func (s *Service) options(image string, extra []string) client.ContainerCreateOptions {
	inner, _ := network.PortFrom(s.Inner, network.TCP)
	host := &container.HostConfig{PortBindings: network.PortMap{inner: {{
		HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), HostPort: strconv.Itoa(int(s.Port)),
	}}}}
	host.NetworkMode = container.NetworkMode(s.Net)
	if s.Log != nil {
		host.LogConfig = container.LogConfig{Type: "syslog", Config: s.Log}
	}
	return client.ContainerCreateOptions{
		Name: s.Name,
		Config: &container.Config{
			Image: image, Env: append(append([]string{}, s.Env...), extra...), Labels: s.Labels,
			ExposedPorts: network.PortSet{inner: {}},
		},
		HostConfig: host,
	}
}

// ErrBlind says that the control lost nothing: no figure of the run counts.
var ErrBlind = errors.New("the control lost nothing: the rig is blind")
