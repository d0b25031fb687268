package steady

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kinds of what a container may share with another one.
const (
	ShareNetwork = "network"   // network_mode
	ShareIPC     = "memory"    // ipc
	SharePID     = "processes" // pid
	ShareVolumes = "volumes"   // volumes_from
)

// Shared is one thing that the containers of a service have from another container: a
// namespace, which ends with that container, or its volumes.
type Shared struct {
	Kind      string `json:"kind"`
	Container string `json:"container"`         // as the call that creates the container names it
	Service   string `json:"service,omitempty"` // whose container that is; empty: none of the project
	Number    int    `json:"number,omitempty"`  // of the replica; 0 where Service is empty
	ReadOnly  bool   `json:"read_only,omitempty"`
}

// shares is the part of the body of POST /containers/create that names other containers.
type shares struct {
	HostConfig struct {
		NetworkMode, IpcMode, PidMode string
		VolumesFrom                   []string
	}
}

// Shares lists what the service has from other containers, given the specs of its
// project. Compose names a service's container by its container_name, or as
// PROJECT-SERVICE-NUMBER; any other container is foreign.
func (s Spec) Shares(project []Spec) []Shared {
	var body shares
	if decode(s.Container, &body) != nil {
		return nil
	}
	var out []Shared
	add := func(kind, name string, readOnly bool) {
		sh := Shared{Kind: kind, Container: name, ReadOnly: readOnly}
		for _, o := range project {
			if n := o.numbered(name); n > 0 && o.Project == s.Project {
				sh.Service, sh.Number = o.Service, n
			}
		}
		out = append(out, sh)
	}
	for _, m := range []struct{ kind, mode string }{
		{ShareNetwork, body.HostConfig.NetworkMode}, {ShareIPC, body.HostConfig.IpcMode}, {SharePID, body.HostConfig.PidMode},
	} {
		if name, ok := strings.CutPrefix(m.mode, "container:"); ok {
			add(m.kind, name, false)
		}
	}
	for _, from := range body.HostConfig.VolumesFrom {
		name, mode, _ := strings.Cut(from, ":")
		add(ShareVolumes, name, slices.Contains(strings.Split(mode, ","), "ro"))
	}
	return out
}

// numbered is the number of the replica to which Compose gives that container name; 0:
// to none of the service.
func (s Spec) numbered(name string) int {
	if name == s.ContainerName {
		return min(len(name), 1)
	}
	number, ok := strings.CutPrefix(name, s.Project+"-"+s.Service+"-")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 {
		return 0
	}
	return n
}

// WithShared is the spec with other containers in the place of those that Compose would
// have made: ids are the IDs of what is there, by the names that the spec has for them.
func (s Spec) WithShared(ids map[string]string) (Spec, error) {
	if len(ids) == 0 {
		return s, nil
	}
	body, err := object(s.Container)
	if err != nil {
		return s, fmt.Errorf("read the container of %s: %w", s.Ref(), err)
	}
	host, err := object(body["HostConfig"])
	if err != nil {
		return s, fmt.Errorf("read what %s shares: %w", s.Ref(), err)
	}
	for _, key := range []string{"NetworkMode", "IpcMode", "PidMode"} {
		var mode string
		if err := decode(host[key], &mode); err != nil {
			return s, fmt.Errorf("read %s of %s: %w", key, s.Ref(), err)
		}
		if id := ids[strings.TrimPrefix(mode, "container:")]; id != "" && strings.HasPrefix(mode, "container:") {
			host[key] = must("container:" + id)
		}
	}
	var from []string
	if err := decode(host["VolumesFrom"], &from); err != nil {
		return s, fmt.Errorf("read volumes_from of %s: %w", s.Ref(), err)
	}
	for i, f := range from {
		name, mode, moded := strings.Cut(f, ":")
		if id := ids[name]; id != "" {
			if from[i] = id; moded {
				from[i] += ":" + mode
			}
		}
	}
	if len(from) > 0 {
		host["VolumesFrom"] = json.RawMessage(must(from))
	}
	body["HostConfig"] = must(host)
	s.Container = must(body)
	return s, nil
}
