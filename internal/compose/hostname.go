package compose

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"gesalpai.ch/steady"
)

// linkHostnames sees to it that a service whose hostname is one of its names is found
// at its holder only. The Engine gives a container's hostname to its networks as a
// name from its start on, and nothing stops that; but a container that has a link of
// that name asks for the link's target instead. So every other service in the network
// gets such a link, to the holder.
func linkHostnames(specs []steady.Spec) error {
	for _, of := range specs {
		host, err := hostname(of)
		if err != nil {
			return err
		}
		held, _ := of.Held()
		if host == "" || !held {
			continue
		}
		link := steady.HolderName(of.Project, of.Service) + ":" + host
		for _, n := range of.Networks {
			if !slices.Contains(n.Aliases, host) {
				continue
			}
			if err := linkAll(specs, of.Service, n.Name, link); err != nil {
				return err
			}
		}
	}
	return nil
}

// linkAll gives a link to every service in a network but one.
func linkAll(specs []steady.Spec, but, name, link string) error {
	for _, s := range specs {
		for i, n := range s.Networks {
			if s.Service == but || n.Name != name {
				continue
			}
			text, err := withLink(n.Endpoint, link)
			if err != nil {
				return fmt.Errorf("give %s a link in network %s: %w", s.Service, n.Key, err)
			}
			s.Networks[i].Endpoint = text
		}
	}
	return nil
}

// withLink is an endpoint as it was, and a link.
func withLink(endpoint json.RawMessage, link string) (json.RawMessage, error) {
	var ep network.EndpointSettings
	if len(endpoint) > 0 {
		if err := json.Unmarshal(endpoint, &ep); err != nil {
			return nil, err
		}
	}
	ep.Links = append(ep.Links, link)
	return json.Marshal(ep)
}

func hostname(s steady.Spec) (string, error) {
	var c container.CreateRequest
	if err := json.Unmarshal(s.Container, &c); err != nil {
		return "", fmt.Errorf("read the container of %s: %w", s.Service, err)
	}
	if c.Config == nil {
		return "", nil
	}
	return c.Hostname, nil
}
