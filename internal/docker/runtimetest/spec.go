package runtimetest

import (
	"bytes"
	"encoding/json"
	"time"

	"gesalpai.ch/steady"
)

// Alias is a name that the file of Spec's services asks for besides their own.
const Alias = "also-known"

// Spec is a service as internal/compose would give it: on the project's default
// network with its own name and Alias, a published port, restart: always and one
// volume.
func Spec(project, service, image string) steady.Spec {
	network, volume := project+"_default", project+"_data"
	names := []string{service, Alias}
	endpoint := map[string]any{"Aliases": append([]string{project + "-" + service + "-1"}, names...)}
	labels := map[string]string{
		"com.docker.compose.project":          project,
		"com.docker.compose.service":          service,
		"com.docker.compose.container-number": "1",
		"com.docker.compose.oneoff":           "False",
		"com.docker.compose.config-hash":      "4d1c",
	}
	return steady.Spec{
		Project: project, Service: service, Image: image, StopGrace: 5 * time.Second, Restart: "always", Replicas: 1, Internal: steady.InternalOff,
		Container: body(map[string]any{
			"Image": image, "Labels": labels, "StopTimeout": 5,
			"ExposedPorts": map[string]any{"8000/tcp": map[string]any{}},
			"HostConfig": map[string]any{
				"NetworkMode":   network,
				"PortBindings":  map[string]any{"8000/tcp": []any{map[string]string{"HostPort": "18099"}}},
				"RestartPolicy": map[string]any{"Name": "always"},
				"Mounts":        []any{map[string]any{"Type": "volume", "Source": volume, "Target": "/data"}},
			},
			"NetworkingConfig": map[string]any{"EndpointsConfig": map[string]any{network: endpoint}},
		}),
		Networks: []steady.Network{{
			Key: "default", Name: network, Aliases: names, Endpoint: body(endpoint),
			Create: body(map[string]any{"Name": network, "Driver": "bridge", "Labels": map[string]string{
				"com.docker.compose.project": project, "com.docker.compose.network": "default"}}),
		}},
		Volumes: []steady.Volume{{
			Key: "data", Name: volume,
			Create: body(map[string]any{"Name": volume, "Labels": map[string]string{
				"com.docker.compose.project": project, "com.docker.compose.volume": "data"}}),
		}},
	}
}

// Held is Spec with a holder for the names.
func Held(project, service, image string) steady.Spec {
	s := Spec(project, service, image)
	s.Internal = ""
	return s
}

// body writes part of an Engine call. Maps of strings always can be written.
func body(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// replaced is a body with one word in another's place.
func replaced(b json.RawMessage, old, with string) json.RawMessage {
	return bytes.ReplaceAll(b, []byte(old), []byte(with))
}
