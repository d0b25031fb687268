package doctor

import (
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// Facts is what was gathered. Nil and zero values are what could not be learnt.
type Facts struct {
	Project  string   // the project meant; empty: all
	Services []string // the services meant; empty: all
	Now      time.Time

	Engine      *steady.Examined
	EngineError *steady.Error
	Survey      *steady.Survey // of the Compose files in reach
	FilesError  *steady.Error

	Daemon      *Daemon
	DaemonError *steady.Error
	Proxy       *Proxy
	ProxyError  *steady.Error
	Version     string // of this command
	Stops       []Stop

	Host   Host
	Nginx  Nginx
	Ports  []TakenPort       // ports of the files and of the proxy's table that somebody listens on
	Dials  map[string]bool   // address → whether somebody accepts there, of those tried
	Probes map[string]Answer // container name → what steady's own probe says
	Deaf   map[string]bool   // container name → its first process does not hear its stop signal
}

// Daemon is what the daemon says of itself.
type Daemon struct {
	Version  string
	Projects []string // those it knows
}

// Proxy is what the proxy says of itself.
type Proxy struct {
	PID       int
	Table     int64 // version of the table in force
	Listeners []ProxyListener
	Upstreams []steady.Upstream // those that take traffic
}

// ProxyListener is one listener of the table in force.
type ProxyListener struct {
	Addr  string // empty for a holder's
	Port  uint16
	Host  string // empty: all addresses
	Error string // why it could not be opened
}

// Stop is how long a replica once took to stop.
type Stop struct {
	Service string
	Replica string
	Took    time.Duration
}

// TakenPort is a port that somebody listens on.
type TakenPort struct {
	Host string // as asked for; empty: all addresses
	Port uint16
	Who  Listener
}

// Listener is the process that listens on an address.
type Listener struct {
	PID     int    // 0: not known
	Command string // empty: not known
	Docker  string // address of the container behind it, where it is Docker's own proxy
}

// Answer is what a probe came to.
type Answer struct {
	Ready bool
	Text  string
}

// Disk is one file system, by what is kept there.
type Disk struct {
	Path        string
	For         string // steady's state, the Engine's data
	Total, Free uint64 // bytes; Free is what an ordinary user may take
	Nodes       uint64 // inodes; 0 where they are not counted
	NodesFree   uint64
}

// Memory is the host's, in bytes.
type Memory struct {
	Total, Available    uint64
	SwapTotal, SwapFree uint64
}

// Host is the machine.
type Host struct {
	Root        bool // we are root, and see everything
	Disks       []Disk
	Memory      Memory
	ClockKnown  bool
	ClockSynced bool
	Tools       map[string]bool // programs looked for, and whether they are there
	Firewall    string          // what drops what is not allowed in: "ufw", "iptables", "nftables"; empty: nothing known
	Systemd     bool            // it is process 1
	Units       map[string]Unit // steady's, by name
}

// Unit is one systemd unit.
type Unit struct{ Installed, Enabled bool }

// containers are those that the facts are about: replicas of the project and the
// services meant, of every project that Compose or steady made where none is.
func (f Facts) containers() []steady.ExaminedContainer {
	if f.Engine == nil {
		return nil
	}
	var out []steady.ExaminedContainer
	for _, c := range f.Engine.Containers {
		if c.Holder == "" && f.about(c.Project, c.Service) {
			out = append(out, c)
		}
	}
	return out
}

func (f Facts) about(project, service string) bool {
	return project != "" && (f.Project == "" || project == f.Project) &&
		(len(f.Services) == 0 || slices.Contains(f.Services, service))
}

// declared finds a service of the files.
func (f Facts) declared(project, service string) (steady.Declared, bool) {
	if f.Survey == nil || f.Survey.Project != project {
		return steady.Declared{}, false
	}
	for _, d := range f.Survey.Services {
		if d.Service == service {
			return d, true
		}
	}
	return steady.Declared{}, false
}
