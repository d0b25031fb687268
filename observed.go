package steady

import (
	"slices"
	"time"
)

// Labels that steady puts on its containers besides Compose's own.
const (
	LabelRelease = "ch.gesalpai.steady.release"
	LabelRollout = "ch.gesalpai.steady.rollout"
	LabelVolumes = "ch.gesalpai.steady.volumes" // JSON list of the paths whose anonymous volumes are carried over
	LabelPath    = "ch.gesalpai.steady.path"    // on a volume: where its replica mounts it
)

// States of a container, in the Engine's words.
const (
	StateCreated    = "created"
	StateRunning    = "running"
	StatePaused     = "paused"
	StateRestarting = "restarting"
	StateExited     = "exited"
	StateDead       = "dead"
)

// Health words of the Engine; empty when there is no healthcheck.
const (
	HealthStarting  = "starting"
	HealthHealthy   = "healthy"
	HealthUnhealthy = "unhealthy"
)

// Observed is what the Engine holds of one project, seen at one moment.
type Observed struct {
	Project  string              `json:"project"`
	Replicas []Replica           `json:"replicas"`                  // of every release, in any state, one-off containers left out
	Holders  map[string][]string `json:"holders,omitempty"`         // service → the networks that its holder, which runs, is in; nil: not looked for
	Stopped  []string            `json:"stopped_holders,omitempty"` // services whose holder is there and does not run
	Images   map[string]Image    `json:"images"`                    // reference → image, for the references asked about; missing: not there
	Memory   int64               `json:"memory,omitempty"`          // of the host, in bytes; 0: not known
}

// Replica is one container of one service.
type Replica struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`    // without the slash
	Service   string            `json:"service"` // its Compose label
	Release   int               `json:"release"` // 0: made by Compose, not by us
	Number    int               `json:"number"`  // com.docker.compose.container-number
	Rollout   int64             `json:"rollout"`
	Image     string            `json:"image"` // image ID
	State     string            `json:"state"`
	PID       int               `json:"pid,omitempty"` // on the host, of its first process; 0: it does not run
	Health    string            `json:"health"`
	Check     string            `json:"-"` // how its last healthcheck ended, with what that printed; of one that is unhealthy
	ExitCode  int               `json:"exit_code"`
	OOM       bool              `json:"oom"`
	Restarts  int               `json:"restarts"` // how often the Engine restarted it
	Created   time.Time         `json:"created,omitzero"`
	Started   time.Time         `json:"started"`
	Addresses map[string]string `json:"addresses,omitempty"` // network name → IP
	Networks  []string          `json:"-"`                   // names of those it is in, sorted; nil: not looked for
	Published []Port            `json:"published,omitempty"` // host ports the container itself publishes (Compose-made ones)
	Exposed   []uint16          `json:"exposed,omitempty"`   // TCP ports that it or its image declares, published or not, ascending
	Limits    Limits            `json:"limits,omitzero"`
	Restart   string            `json:"restart,omitempty"`  // its policy while it serves
	Process   Process           `json:"-"`                  // its first process, where whoever asked has looked for it
	HostNet   bool              `json:"host_net,omitempty"` // network_mode: host; its address is the host's
	Volumes   []MountedVolume   `json:"volumes,omitempty"`  // volumes and bind mounts, by path
	Refused   string            `json:"-"`                  // why the Engine could not start it the last time; empty: it could
	Joined    map[string]string `json:"-"`                  // kind of namespace → ID of the container whose it is; see Shared
}

// MountedVolume is what a replica has mounted at a path.
type MountedVolume struct {
	Path      string `json:"path"`
	Name      string `json:"name"`                // of the volume; the host's path of a bind mount
	Anonymous bool   `json:"anonymous,omitempty"` // it is to be found again by the replica's successor
	Ephemeral bool   `json:"ephemeral,omitempty"` // anonymous, and removed with the replica
}

// Outlived says whether the replica runs in a namespace that was another container's and
// has ended: host is the one that it should share with, and was started again, or is
// another container by now.
func (r Replica) Outlived(kind string, host Replica) bool {
	id := r.Joined[kind]
	return id != "" && (id != host.ID || host.Started.After(r.Started))
}

// Running says whether the replica's process runs now.
func (r Replica) Running() bool { return r.State == StateRunning }

// Lacks names the first of the spec's networks that is not among those that one of
// its containers is in; empty for none.
func (s Spec) Lacks(networks []string) string {
	for _, n := range s.Networks {
		if !slices.Contains(networks, n.Name) {
			return n.Name
		}
	}
	return ""
}

// Of lists the replicas of one service.
func (o Observed) Of(service string) []Replica {
	var out []Replica
	for _, r := range o.Replicas {
		if r.Service == service {
			out = append(out, r)
		}
	}
	return out
}

// Named finds a replica by container name.
func (o Observed) Named(name string) (Replica, bool) {
	for _, r := range o.Replicas {
		if r.Name == name {
			return r, true
		}
	}
	return Replica{}, false
}
