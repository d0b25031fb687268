package steady

import (
	"fmt"
	"time"
)

// Moments at which a hook runs.
const (
	HookBefore = "before" // once per rollout, before any new replica is created
	HookStop   = "stop"   // before each old replica is stopped, after its drain
	HookAfter  = "after"  // once all is done
)

// Places where a hook runs.
const (
	HookContainer = "container" // a one-off container of the release, as docker compose run makes it
	HookExec      = "exec"      // within a replica: the old one that stops, or a new one
	HookHost      = "host"      // this machine, as the daemon's user
)

// DefaultHookTimeout is how long a hook may take where the file is silent.
const DefaultHookTimeout = 5 * time.Minute

// Hook is one command of the user's. Command may hold what the Compose files read
// from the environment: never log or print it.
type Hook struct {
	Command    []string      `json:"command"`         // argv
	Shell      bool          `json:"shell,omitempty"` // it was one line, for /bin/sh -c: a container's entrypoint is set aside
	On         string        `json:"on"`              // HookContainer, HookExec or HookHost
	Timeout    time.Duration `json:"timeout"`
	OnRollback bool          `json:"on_rollback,omitempty"` // HookBefore: in a rollback too
}

// Program is what a person knows the hook by: see Program.
func (h Hook) Program() string { return Program(h.Command, h.Shell) }

// Hooks are those of a service, or of the project; nil where there is none.
type Hooks struct {
	Before *Hook `json:"before,omitempty"`
	Stop   *Hook `json:"stop,omitempty"` // of a service only
	After  *Hook `json:"after,omitempty"`
}

// At is the hook of one moment, nil where there is none. So is it of nil.
func (h *Hooks) At(moment string) *Hook {
	switch {
	case h == nil:
		return nil
	case moment == HookBefore:
		return h.Before
	case moment == HookStop:
		return h.Stop
	}
	return h.After
}

// HookName is the deterministic name of the one-off container of a rollout's hook:
// "shop-api-hook-before-17". Whoever finds it there must not run the hook again.
func HookName(project, service, moment string, rollout int64) string {
	return fmt.Sprintf("%s-%s-hook-%s-%d", project, service, moment, rollout)
}

// Oneoff is a container that runs one command of a release, and takes no traffic.
type Oneoff struct {
	Name    string
	Command []string
	Shell   bool     // Command is a shell's: the entrypoint is set aside
	Env     []string // "NAME=value", besides the service's own
	Rollout int64
}
