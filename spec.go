package steady

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Spec is what the Compose files ask of one service, wholly resolved: files
// merged, variables replaced, env files read. It stands alone, so that a release
// can be created again after the files have changed or gone.
type Spec struct {
	Project string `json:"project"`
	Service string `json:"service"`

	WorkingDir string   `json:"working_dir"` // absolute; where relative paths of the files start
	Files      []string `json:"files"`       // absolute paths of the Compose files

	Image      string `json:"image"`                 // reference as Compose resolved it, never empty
	Build      *Build `json:"build,omitempty"`       // nil: the image can only be pulled
	PullPolicy string `json:"pull_policy,omitempty"` // as in Compose: "", always, never, missing, build, …
	Platform   string `json:"platform,omitempty"`    // as in Compose, "linux/amd64"

	// Container is the body of the Engine call POST /containers/create exactly as
	// Compose would send it for the service's first replica (Config at the top
	// level, HostConfig and NetworkingConfig within), host ports and aliases
	// included. It holds environment values: never log or print it.
	Container json.RawMessage `json:"container"`

	Networks []Network `json:"networks,omitempty"` // in the order in which Compose joins them
	Volumes  []Volume  `json:"volumes,omitempty"`  // named volumes it mounts

	ContainerName string        `json:"container_name,omitempty"` // as declared, else empty
	NetworkMode   string        `json:"network_mode,omitempty"`   // as declared: host, none, service:x, …; empty for networks
	Restart       string        `json:"restart,omitempty"`        // restart policy: no, always, on-failure[:n], unless-stopped
	StopGrace     time.Duration `json:"stop_grace"`               // between SIGTERM and SIGKILL
	Ports         []Port        `json:"ports,omitempty"`
	Routes        []Rule        `json:"routes,omitempty"`   // what comes by host and path
	Internal      string        `json:"internal,omitempty"` // InternalOff: the service's names are on its replicas, not on a holder
	State         []string      `json:"state,omitempty"`    // read-write named volumes, "volume", and binds, "/host/path"
	Contents      []Content     `json:"contents,omitempty"` // of files that it mounts, when its replicas were created; compared by Release.Same
	Original      []Content     `json:"original,omitempty"` // the same when the release was made, where a rollback to it found others; else empty
	DependsOn     []Dependency  `json:"depends_on,omitempty"`
	Job           bool          `json:"job,omitempty"` // another service waits for it with service_completed_successfully

	Replicas int    `json:"replicas"` // not part of the digest: scaling makes no release
	Probe    Probe  `json:"probe"`
	Update   Update `json:"update"`
	Drain    Drain  `json:"drain"`

	Sticky           *Sticky  `json:"sticky,omitempty"`            // nil: any replica will do
	Ingress          *Ingress `json:"ingress,omitempty"`           // nil: the default; see Entry
	EphemeralVolumes []string `json:"ephemeral_volumes,omitempty"` // paths whose anonymous volumes are not carried over; EphemeralAll: none is

	Assets   []string      `json:"assets,omitempty"`   // paths, "/static/*", that the release before is asked for where this one answers 404
	Holding  *Holding      `json:"holding,omitempty"`  // nil: the defaults
	Rollback *Update       `json:"rollback,omitempty"` // deploy.rollback_config: for a rollback, in place of Update; nil: as a deploy
	Warm     time.Duration `json:"warm,omitempty"`     // how long the replicas of the release before are kept running, un-routed; 0: not at all
	Canary   *Canary       `json:"canary,omitempty"`   // nil: a new release gets all at once
	Hooks    *Hooks        `json:"hooks,omitempty"`    // the service's own

	// ProjectHooks and Notify stand at the top of the files, the same in all specs of a
	// deploy. No container depends on them: they are not part of the digest.
	ProjectHooks *Hooks     `json:"project_hooks,omitempty"`
	Notify       []Receiver `json:"notify,omitempty"`
}

// Digest names the spec by its content: "sha256:" and 64 hex digits. Two specs
// with the same digest would make the same containers; Replicas does not count.
// Contents of files are not part of it: see Release.Same.
func (s Spec) Digest() string {
	s.Replicas, s.ProjectHooks, s.Notify, s.Contents, s.Original = 0, nil, nil, nil, nil
	b, err := json.Marshal(s)
	if err != nil { // only a malformed Container can do that
		b = append([]byte(err.Error()), s.Container...)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Ref names the service as "project/service".
func (s Spec) Ref() string { return s.Project + "/" + s.Service }

// Build is the service's build section. Paths are absolute.
type Build struct {
	Context          string            `json:"context"` // directory
	Dockerfile       string            `json:"dockerfile,omitempty"`
	DockerfileInline string            `json:"dockerfile_inline,omitempty"`
	Args             map[string]string `json:"args,omitempty"`
	Target           string            `json:"target,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	CacheFrom        []string          `json:"cache_from,omitempty"`
	ExtraHosts       []string          `json:"extra_hosts,omitempty"` // "name:ip"
	Network          string            `json:"network,omitempty"`
	Platform         string            `json:"platform,omitempty"`
	NoCache          bool              `json:"no_cache,omitempty"`
	Pull             bool              `json:"pull,omitempty"`
	Tags             []string          `json:"tags,omitempty"`    // besides Spec.Image
	Secrets          map[string]string `json:"secrets,omitempty"` // id → absolute path of the file
	Contexts         map[string]string `json:"contexts,omitempty"`
}

// Network is one network the service joins.
type Network struct {
	Key      string          `json:"key"`                // its name in the Compose file
	Name     string          `json:"name"`               // its name on the Engine
	External bool            `json:"external,omitempty"` // must be there; never created, never removed
	Create   json.RawMessage `json:"create,omitempty"`   // body of POST /networks/create; nil when external
	Endpoint json.RawMessage `json:"endpoint,omitempty"` // EndpointSettings as Compose would send it, aliases included
	Aliases  []string        `json:"aliases,omitempty"`  // names the service must have there: its own, declared ones, container_name
}

// driver is the network's driver as the file has it; empty for the Engine's own
// choice, and for an external network.
func (n Network) driver() string {
	var c struct{ Driver string }
	if json.Unmarshal(n.Create, &c) != nil {
		return ""
	}
	return c.Driver
}

// InternalOff in Spec.Internal puts the service's names on its replicas, as plain
// Compose does, once they are ready.
const InternalOff = "off"

// Volume is one named volume the service mounts.
type Volume struct {
	Key      string          `json:"key"`
	Name     string          `json:"name"`
	External bool            `json:"external,omitempty"`
	Create   json.RawMessage `json:"create,omitempty"` // body of POST /volumes/create; nil when external
}

// Protocols a published port may carry. Auto decides by the first bytes a client
// sends.
const (
	Auto = "auto"
	HTTP = "http"
	TCP  = "tcp"
)

// UDP is the transport of a published port that carries datagrams.
const UDP = "udp"

// Port is one published port.
type Port struct {
	HostIP    string `json:"host_ip,omitempty"` // empty: all addresses, v4 and v6
	Published uint16 `json:"published"`         // 0: the proxy chooses a free one, once
	Target    uint16 `json:"target"`            // in the container
	Transport string `json:"transport"`         // tcp or udp
	Protocol  string `json:"protocol"`          // Auto, HTTP or TCP; from app_protocol or x-steady
}

// String is how people write where visitors come to: "8080", "127.0.0.1:8080",
// "53/udp".
func (p Port) String() string { return PortRange{Port: p}.String() }

// PortRange is a row of published ports with the same distance to their ports in the
// container.
type PortRange struct {
	Port
	More uint16 // how many ports follow the first
}

// String is "8080", "10000-10100/udp".
func (r PortRange) String() string {
	text := strconv.Itoa(int(r.Published))
	if r.More > 0 {
		text += "-" + strconv.Itoa(int(r.Published+r.More))
	}
	switch {
	case strings.Contains(r.HostIP, ":"):
		text = "[" + strings.Trim(r.HostIP, "[]") + "]:" + text
	case r.HostIP != "":
		text = r.HostIP + ":" + text
	}
	if r.Transport == UDP {
		text += "/udp"
	}
	return text
}

// Targets are the range's ports in the container: "53", "10000-10100".
func (r PortRange) Targets() string {
	text := strconv.Itoa(int(r.Target))
	if r.More > 0 {
		text += "-" + strconv.Itoa(int(r.Target+r.More))
	}
	return text
}

// Ranges gathers ports that follow one another, in the order in which they come.
func Ranges(ports []Port) []PortRange {
	var out []PortRange
	for _, p := range ports {
		if n := len(out); n > 0 && out[n-1].Precedes(p) {
			out[n-1].More++
			continue
		}
		out = append(out, PortRange{Port: p})
	}
	return out
}

// Precedes says whether a port is the next of the range.
func (r PortRange) Precedes(p Port) bool {
	next := r.Port
	next.Published, next.Target = next.Published+r.More+1, next.Target+r.More+1
	return r.Published > 0 && next == p
}

// Dependency is one entry of depends_on.
type Dependency struct {
	Service   string `json:"service"`
	Condition string `json:"condition"` // service_started, service_healthy or service_completed_successfully
	Required  bool   `json:"required"`
}

// Kinds of probe.
const (
	ProbeHTTP    = "http"    // a GET that must answer below 400, or one of Expect
	ProbeTCP     = "tcp"     // a connection that is accepted
	ProbeExec    = "exec"    // a command in the container that must exit 0
	ProbeDocker  = "docker"  // the Engine's own health status
	ProbeExposed = "exposed" // a port that the container exposes accepts; where it has none, or none does for Settle, it must stay up
	ProbeRunning = "running" // nothing to ask: it must stay up for Settle
)

// Probe says how to learn that a replica can serve. Derived from the Compose
// healthcheck and the ports, at a pace of our own; x-steady.probe overrides it.
type Probe struct {
	Kind     string            `json:"kind"`
	Scheme   string            `json:"scheme,omitempty"` // http or https (certificate not verified)
	Port     uint16            `json:"port,omitempty"`   // in the container
	Path     string            `json:"path,omitempty"`   // with its query
	Method   string            `json:"method,omitempty"` // GET when empty
	Header   map[string]string `json:"header,omitempty"`
	Expect   []int             `json:"expect,omitempty"`  // empty: 200 to 399
	Command  []string          `json:"command,omitempty"` // argv
	Interval time.Duration     `json:"interval"`          // between two questions
	Timeout  time.Duration     `json:"timeout"`           // for one answer
	Rise     int               `json:"rise"`              // good answers in a row
	Settle   time.Duration     `json:"settle,omitempty"`  // for ProbeRunning and ProbeExposed
	Deadline time.Duration     `json:"deadline"`          // from start to ready
	Cause    string            `json:"cause,omitempty"`   // where it came from, for a person
	Sick     bool              `json:"-"`                 // the release before is unhealthy by its own healthcheck too: that fails nothing
	Reach    string            `json:"reach,omitempty"`   // ReachOff: published and routed ports need not accept before the shift
}

// Orders of an update.
const (
	StartFirst = "start-first"
	StopFirst  = "stop-first"
)

// What a failure after the shift leads to.
const (
	Rollback = "rollback"
	Pause    = "pause"
	Continue = "continue"
)

// Update is deploy.update_config with its gaps filled. Empty Order means that the
// file is silent and the plan chooses.
type Update struct {
	Order         string        `json:"order,omitempty"`
	Parallelism   int           `json:"parallelism"` // replicas at a time; 0: all at once
	Delay         time.Duration `json:"delay,omitempty"`
	FailureAction string        `json:"failure_action"`
	Monitor       time.Duration `json:"monitor"` // the watch window

	Watch *Watch `json:"watch,omitempty"` // what is asked of the new release meanwhile; nil: DefaultWatch
}

// Drain holds the clocks of a drain. What outlives its clock is cut, counted and
// told.
type Drain struct {
	Requests time.Duration `json:"requests"`
	Streams  time.Duration `json:"streams"` // also for TCP connections
	// Quiet is how long each stream that must end may go on until a moment at which
	// nothing of it is under way. 0: DefaultDrainQuiet; below 0: not at all.
	Quiet time.Duration `json:"quiet,omitzero"`
}

// Patience is how long a stream that must end may wait for a quiet moment.
func (d Drain) Patience() time.Duration {
	if d.Quiet == 0 {
		return DefaultDrainQuiet
	}
	return max(d.Quiet, 0)
}

// Defaults where Compose files and x-steady are silent.
const (
	DefaultStopGrace     = 10 * time.Second // Compose's own
	DefaultDrainRequests = 30 * time.Second
	DefaultDrainStreams  = 30 * time.Second
	DefaultDrainQuiet    = 2 * time.Second
	DefaultProbeInterval = 50 * time.Millisecond // zero-loss.md: readiness is seen within 100 ms
	DefaultExecInterval  = 250 * time.Millisecond
	DefaultProbeTimeout  = 2 * time.Second
	DefaultProbeRise     = 2
	DefaultProbeDeadline = 60 * time.Second
	DefaultSettle        = time.Second
	DefaultExposedSettle = 5 * time.Second // EXPOSE is often mere documentation: nobody waits for it longer
	DefaultMonitor       = 0 * time.Second
	DefaultReplicas      = 1
	DefaultFailureAction = Rollback
)
