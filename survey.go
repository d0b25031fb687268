package steady

import (
	"strings"
	"time"
)

// Survey is what Compose files say, as far as it matters to whoever judges them.
// It is made without an Engine, also of files that could not be deployed.
type Survey struct {
	Project    string
	WorkingDir string   // absolute
	Files      []string // absolute, files that are included or extended too
	Services   []Declared
	Networks   []DeclaredNetwork
	Unset      []Remark // variables that the files name and nobody sets; Path is where
	Missing    []Remark // env files that are not there
	Refused    []Remark // what steady cannot deploy, with a hint
	LeftOut    []Remark // what steady does not use
	Obsolete   bool     // there is a version key, which Compose ignores
	// AllProfiles: nobody asked for a profile, so services of all profiles are
	// here, also of those that exclude each other.
	AllProfiles bool

	Places map[string]Place // path, "services.api.ports[0]", to where it stands
}

// Place finds a path in the files, or the nearest path above it that stands there.
func (s Survey) Place(path string) Place {
	for path != "" {
		if p, ok := s.Places[path]; ok {
			return p
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return Place{}
}

// Remark is something said about one place of the files.
type Remark struct {
	Path string
	Text string
	Hint string
}

// Declared is one service as the files have it, with what follows from them.
type Declared struct {
	// Spec is without the Engine's calls: Container and Networks are empty.
	Spec

	EnvFiles     []string // absolute paths
	Builds       bool
	Command      []string // argv; Compose has split a string. nil: the image's
	Entrypoint   []string
	Dockerfile   Dockerfile
	Health       Health
	Init         bool
	StopSignal   string
	GraceSet     bool // stop_grace_period stands there
	DrainSet     bool // x-steady.drain.requests stands there
	Environment  []Variable
	BuildArgs    []Variable
	Published    []DeclaredPort
	Exposed      bool
	Mounts       []Mount
	Memory       int64 // limit in bytes; 0: none
	UpdateConfig bool  // deploy.update_config stands there
	ScaleSet     bool  // scale or deploy.replicas stands there
	RestartSet   bool
	Follows      []string // services whose restart restarts it: depends_on.X.restart
	Borrows      []Borrowed
	Privileged   bool
	LogBounded   bool // its log cannot fill the disk: another driver, or max-size
	FixedAddress []string
	Attached     []string // its networks, by key
	Labels       []string // names only
	Profiles     []string
	Passwords    []Argument // those written into the command, the entrypoint or the healthcheck
	DataDir      string     // PGDATA, as the files set it
}

// Path is the way to something of the service in the files.
func (d Declared) Path(steps ...string) string {
	return strings.Join(append([]string{"services", d.Service}, steps...), ".")
}

// Dockerfile is what the last stage of a service's Dockerfile runs.
type Dockerfile struct {
	File string // absolute path; empty: there is none, or it cannot be read
	Base string // image that the stage begins with, as written
	// Command and Entrypoint are argv of the exec form, or one line of the shell
	// form.
	Command, Entrypoint   []string
	CommandShell          bool // CMD has the shell form
	EntrypointShell       bool
	CommandAt             int  // line; 0: none
	EntrypointAt          int  // line
	HealthcheckStandsHere bool // HEALTHCHECK, and not NONE
}

// Health is the declared healthcheck. Zero durations are not declared.
type Health struct {
	Declared      bool
	Disabled      bool
	Test          []string // as in Compose: CMD or CMD-SHELL first
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration
	StartInterval time.Duration
	Retries       int
}

// Variable is a variable that the files set. Its value is not kept.
type Variable struct {
	Name        string
	Path        string
	Literal     bool // the value itself stands in the file, and is no switch ("yes"), path or blank ("your-key")
	Fallback    bool // such a literal stands there for when the variable is not set: ${X:-this}
	Credentials bool // the value is an address with a literal password in it
}

// Argument is an option of a command line. Its value is not kept.
type Argument struct {
	Flag string // "--requirepass"
	Path string // where it stands
}

// DeclaredPort is one published port and where it stands.
type DeclaredPort struct {
	Port
	Path string
}

// DeclaredRange is a row of ports that one entry publishes.
type DeclaredRange struct {
	PortRange
	Path string
}

// Ranges gathers the published ports of one entry that follow one another.
func (d Declared) Ranges() []DeclaredRange {
	var out []DeclaredRange
	for _, p := range d.Published {
		if n := len(out); n > 0 && out[n-1].Path == p.Path && out[n-1].Precedes(p.Port) {
			out[n-1].More++
			continue
		}
		out = append(out, DeclaredRange{PortRange{Port: p.Port}, p.Path})
	}
	return out
}

// Mount is one entry of volumes.
type Mount struct {
	Path     string
	Type     string // volume, bind, tmpfs, …
	Source   string // name on the Engine, or host path; empty: anonymous
	Target   string
	ReadOnly bool
}

// DeclaredNetwork is one network of the files.
type DeclaredNetwork struct {
	Key      string
	Name     string
	External bool
	Subnet   bool // declared
	Driver   string
}

// Borrowed is a Shared as the files have it.
type Borrowed struct {
	Key string // network_mode, ipc, pid or volumes_from
	Shared
}
