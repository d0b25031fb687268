package compose

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"

	"gesalpai.ch/steady"
)

// networksOf lists the networks in the order in which Compose joins them: the
// highest priority first, by name among equals. The first is the container's
// NetworkMode.
func networksOf(model *types.Project, s types.ServiceConfig, body container.CreateRequest, c calls) ([]steady.Network, error) {
	if s.NetworkMode != "" {
		return nil, nil
	}
	var out []steady.Network
	for _, key := range s.NetworksByPriority() {
		declared := model.Networks[key]
		endpoint, err := endpointOf(body, declared.Name)
		if err != nil {
			return nil, fmt.Errorf("write the endpoint of %s in %s: %w", s.Name, key, err)
		}
		out = append(out, steady.Network{
			Key:      key,
			Name:     declared.Name,
			External: bool(declared.External),
			Create:   c.networks[declared.Name],
			Endpoint: endpoint,
			Aliases:  aliasesOf(s, key),
		})
	}
	return out, nil
}

// endpointOf is the endpoint as it stands in the captured call.
func endpointOf(body container.CreateRequest, network string) (json.RawMessage, error) {
	if body.NetworkingConfig == nil {
		return nil, nil
	}
	endpoint, ok := body.NetworkingConfig.EndpointsConfig[network]
	if !ok {
		return nil, nil
	}
	return json.Marshal(endpoint)
}

// aliasesOf are the names by which others look for the service in a network.
func aliasesOf(s types.ServiceConfig, key string) []string {
	names := []string{s.Name}
	if n := s.Networks[key]; n != nil {
		names = append(names, n.Aliases...)
	}
	if s.ContainerName != "" {
		names = append(names, s.ContainerName)
	}
	var out []string
	for _, name := range names {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
