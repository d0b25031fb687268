package steady

import (
	"fmt"
	"strings"
	"time"
)

// Strategies: how a service moves from one release to the next.
const (
	StrategyStart     = "start"     // nothing runs yet
	StrategyStartNew  = StartFirst  // new beside old, then shift
	StrategyStopFirst = StopFirst   // old away, then new: a gap
	StrategyHold      = "hold"      // old away, then new, while what comes waits at the proxy
	StrategyCanary    = "canary"    // new beside old, then shifted by weight
	StrategyAdopt     = "adopt"     // first time over a container that publishes the port itself: new beside old, new connections redirected
	StrategyOverlap   = "overlap"   // worker: no traffic to shift
	StrategyJob       = "job"       // runs once and must exit 0
	StrategyScale     = "scale"     // same release, another number of replicas
	StrategyKeep      = "unchanged" // nothing to do
	StrategyRemove    = "remove"    // steady down, or an orphan with --remove-orphans
	StrategyHandOver  = "hand-over" // an orphan runs on without the addresses that another service takes over
)

// Kinds of step, in the order in which a rollout usually takes them.
const (
	StepPull    = "pull"    // tag → digest
	StepBuild   = "build"   // context → image
	StepPrepare = "prepare" // networks and volumes exist
	StepCreate  = "create"  // create or adopt one replica: no host ports, no alias
	StepHolder  = "holder"  // the service's holder is there and owns its names
	StepForget  = "forget"  // the holder of a service that has gone is removed
	StepStart   = "start"
	StepProbe   = "probe" // ready, or the rollout fails
	StepWait    = "wait"  // a job must exit 0
	StepAlias   = "alias" // the replica takes the service's names in its networks
	StepShift   = "shift" // Routes become the pools in force, in one move
	StepWatch   = "watch" // the new release serves; a failure can still undo it
	StepDrain   = "drain" // nothing of Replica is in flight any more
	StepStop    = "stop"
	StepHook    = "hook"  // a command of the user's, on the host or in a container
	StepDelay   = "delay" // update_config.delay
	StepRemove  = "remove"
	StepWarm    = "warm"  // the release before is kept running, un-routed; For 0: none is any more
	StepClean   = "clean" // networks (and volumes, when asked) of a project that goes
)

// Plan says what will be done, in which order and why. It is pure data: stored
// before the first step, printed by `steady plan`, resumed after a crash.
type Plan struct {
	Project  string        `json:"project"`
	Services []ServicePlan `json:"services"` // in dependency order
	Steps    []Step        `json:"steps"`    // a step stands behind all it needs
	Before   []Route       `json:"before"`   // routes in force when it was made: where an undo goes back to

	// Volumes are the project's anonymous volumes, those that the plan makes included:
	// of two with one service, number and path the later is in use.
	Volumes []AnonymousVolume `json:"anonymous_volumes,omitempty"`
}

// String prints the plan one step a line, needs behind it: the text that plan
// tests hold.
func (p Plan) String() string {
	var b strings.Builder
	for _, s := range p.Services {
		fmt.Fprintf(&b, "%s/%s %s %d→%d: %s\n", p.Project, s.Service, s.Strategy, s.From, s.To, s.Cause)
	}
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "  %s", s.ID)
		for _, r := range s.Routes {
			fmt.Fprintf(&b, " %s=%d%v", r.Service, r.Release, r.Replicas)
			if r.Hold != nil {
				b.WriteString(" held")
			}
		}
		for _, v := range s.Mounts {
			fmt.Fprintf(&b, " %s=%.12s", v.Path, v.Name)
		}
		if len(s.Needs) > 0 {
			fmt.Fprintf(&b, " < %s", strings.Join(s.Needs, ", "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// ServicePlan is the part of a plan that concerns one service, for people.
type ServicePlan struct {
	Service  string        `json:"service"`
	Strategy string        `json:"strategy"`
	Cause    string        `json:"cause"`  // why this strategy
	Notice   string        `json:"notice"` // what a visitor will notice
	From     int           `json:"from"`   // serving release, 0 for none
	To       int           `json:"to"`     // target release, 0 for none
	Replicas int           `json:"replicas"`
	Rules    []Rule        `json:"rules,omitempty"` // what will come to it by host and path
	OnFail   string        `json:"on_fail"`         // Rollback, Pause or Continue, once shifted
	Gap      time.Duration `json:"gap,omitempty"`   // nothing of it takes traffic for about that long, as last time; 0: not known, or none
	Last     *LastTime     `json:"last,omitempty"`  // how it went the last time with this strategy; nil: never, or not measured
	// Reconnects are those who have streams open to the replicas that go, and
	// StreamClock is how long these streams may go on; below 0: as long as they like.
	Reconnects  []Reconnect   `json:"reconnects,omitempty"`
	StreamClock time.Duration `json:"stream_clock,omitempty"`
	Warm        time.Duration `json:"warm,omitempty"`    // how long the release before is kept running, un-routed
	Cold        string        `json:"cold,omitempty"`    // why it is not, though it was asked for
	Changes     []string      `json:"changes,omitempty"` // what differs from the serving release, by name; never a value of a variable
	Closes      []string      `json:"closes,omitempty"`  // published ports that close: "port 8080 closes: …"
	Same        int           `json:"same,omitempty"`    // a rollback: the release asked for, which is the same as the serving one; else 0
	Stays       []string      `json:"stays,omitempty"`   // a rollback: mounted files that are as they are now, not as the release had them
	Direct      string        `json:"direct,omitempty"`  // why calls from within the project do not come through a holder; empty where they do
	Reach       *Reach        `json:"reach,omitempty"`   // what its new replicas must accept on before they take traffic; nil: nothing
	Before      *Condition    `json:"before,omitempty"`  // what ails the release that serves, and is no fault of the new one; nil: nothing
	Once        bool          `json:"once,omitempty"`    // the release before ran to its end: this one is given time to do so

	Volumes []VolumePlan `json:"volumes,omitempty"` // what becomes of anonymous volumes
	Shares  []string     `json:"shares,omitempty"`  // services whose namespaces or volumes it shares, or shared so far, each once
	Lends   bool         `json:"lends,omitempty"`   // others live in its network, and may open its ports

	Orphan   bool   `json:"orphan,omitempty"`    // it runs or serves and is not in the Compose files any more
	GivesWay string `json:"gives_way,omitempty"` // of an orphan: the service before whose start it stops, as both write to one volume

	// Elsewhere is the directory that what serves was deployed from, where that is another one.
	Elsewhere string `json:"elsewhere,omitempty"`
}

// Condition is what ails the replicas of a release.
type Condition struct {
	Unhealthy bool    `json:"unhealthy,omitempty"` // all of them, by their own healthcheck
	OOM       bool    `json:"oom,omitempty"`       // one has run out of memory
	Restarts  float64 `json:"restarts,omitempty"`  // by the Engine, of one of them, in an hour
}

// VolumePlan is what becomes of the anonymous volumes at one path, for people.
type VolumePlan struct {
	Path   string   `json:"path"`
	Names  []string `json:"names,omitempty"` // on the Engine, by replica number
	Change string   `json:"change"`          // VolumeKept, …
	Cause  string   `json:"cause,omitempty"`
}

// What becomes of an anonymous volume.
const (
	VolumeKept = "carried over"
	VolumeNew  = "new"
	VolumeLeft = "left" // it stays on the Engine, and the new release does not mount it
)

// Step is one thing to do. What it needs must be done first; steps that do not
// need each other may run side by side.
type Step struct {
	ID      string        `json:"id"` // unique in the plan: "api/probe/shop-api-42-1"
	Kind    string        `json:"kind"`
	Service string        `json:"service,omitempty"` // empty for a step that concerns several
	Release int           `json:"release,omitempty"` // the release it creates, starts, probes
	Number  int           `json:"number,omitempty"`  // replica number for StepCreate
	Replica string        `json:"replica,omitempty"` // container name
	Routes  []Route       `json:"routes,omitempty"`  // StepShift
	Direct  bool          `json:"direct,omitempty"`  // StepDrain: others reach the replica not through the proxy
	Brief   bool          `json:"brief,omitempty"`   // StepDrain: streams are ended at once, as somebody waits for the end
	Volumes bool          `json:"volumes,omitempty"` // StepClean: volumes too
	For     time.Duration `json:"for,omitempty"`     // StepWatch, StepDelay, StepWarm; StepHook: how long it may take
	Watch   *Watch        `json:"watch,omitempty"`   // StepWatch: what is asked of the new release
	Stage   *Stage        `json:"stage,omitempty"`   // StepShift, StepWatch: of a canary
	Hook    string        `json:"hook,omitempty"`    // StepHook: HookBefore, HookStop or HookAfter
	Whole   bool          `json:"whole,omitempty"`   // StepHook: the project's, of which Service only has the file
	Needs   []string      `json:"needs,omitempty"`   // IDs of earlier steps
	Cause   string        `json:"cause,omitempty"`

	// Shares are the replicas whose namespaces or volumes the one that StepCreate makes
	// has, by the names that its spec has for them.
	Shares map[string]string `json:"shares,omitempty"`
	Ask    string            `json:"ask,omitempty"` // StepProbe: AskProbe or AskRunning; empty: its probe and its ports

	Mounts []AnonymousVolume `json:"anonymous_volumes,omitempty"` // StepCreate: those of the replica; StepClean: those to remove

	Stands bool `json:"stands,omitempty"` // StepPrepare, StepHolder, StepCreate: it was there before the rollout, whose undo leaves it
	Own    bool `json:"own,omitempty"`    // StepStop, StepRemove: done only where the rollout made the replica
}

// What a replica is asked while those that live in its network, and may open its ports,
// do not run yet.
const (
	AskProbe   = "probe"   // its probe, but not its ports
	AskRunning = "running" // whether it stays up, as its probe asks a published port
)

// Changes says whether the plan does anything.
func (p Plan) Changes() bool { return len(p.Steps) > 0 }

// Of finds the plan of one service.
func (p Plan) Of(service string) (ServicePlan, bool) {
	for _, s := range p.Services {
		if s.Service == service {
			return s, true
		}
	}
	return ServicePlan{}, false
}
