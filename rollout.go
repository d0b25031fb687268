package steady

import "time"

// Kinds of rollout.
const (
	KindDeploy   = "deploy"
	KindRollback = "rollback"
	KindScale    = "scale"
	KindDown     = "down"
	KindDrill    = "drill" // the serving release onto itself: the same spec and image under another number

	KindRecovery = "recovery" // no move: releases that the store had lost, taken up from their containers
)

// States of a rollout. Done, Failed, RolledBack, Paused and Unchanged are final.
const (
	RolloutRunning    = "running"
	RolloutUndoing    = "undoing"
	RolloutDone       = "done"
	RolloutUnchanged  = "unchanged"
	RolloutFailed     = "failed"      // before the shift: the old release serves on
	RolloutRolledBack = "rolled-back" // after the shift: traffic went back to the old release
	RolloutPaused     = "paused"      // failure_action: pause; both releases serve
	RolloutAborted    = "aborted"     // undone because somebody asked
)

// Rollout is one move of one or more services of a project from their serving
// releases to others.
type Rollout struct {
	ID       int64     `json:"id"`
	Project  string    `json:"project"`
	Kind     string    `json:"kind"`
	Number   int       `json:"number"` // release number it gives to what it changes; 0 for none
	Services []string  `json:"services"`
	State    string    `json:"state"`
	Who      string    `json:"who"` // user@host of the caller
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	Error    *Error    `json:"error,omitempty"`
	Receipt  *Receipt  `json:"receipt,omitempty"`
	Stage    *Stage    `json:"stage,omitempty"`    // of its canaries, while one is under way
	Unstored *Error    `json:"unstored,omitempty"` // why the store does not have it as it is here; nil: it has
}

// Final says whether the rollout has ended.
func (r Rollout) Final() bool {
	return r.State != RolloutRunning && r.State != RolloutUndoing
}

// Options are the caller's wishes for a deploy, in Compose's words.
type Options struct {
	Services []string      `json:"services,omitempty"` // asked for by name; empty: all
	Build    bool          `json:"build,omitempty"`    // build also what is there
	Pull     bool          `json:"pull,omitempty"`     // pull also what is there
	NoDeps   bool          `json:"no_deps,omitempty"`  // leave dependencies alone, running or not
	Force    bool          `json:"force,omitempty"`    // replace also what is unchanged
	WaitLock time.Duration `json:"wait_lock,omitempty"`
	Who      string        `json:"who,omitempty"`
	Ticket   string        `json:"ticket,omitempty"` // by which a caller that waits finds itself among the waiters

	// Declared are all services of the Compose files, those of profiles that nobody asks
	// for included: what runs of any other is an orphan. Empty: the files are not known.
	Declared      []string `json:"declared,omitempty"`
	RemoveOrphans bool     `json:"remove_orphans,omitempty"` // take them down once the new releases serve

	Rebuild bool `json:"rebuild,omitempty"` // rollback: build anew what is gone and cannot be pulled
}
