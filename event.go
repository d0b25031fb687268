package steady

import "time"

// Kinds of event. A rollout's stream begins with EventAccepted and ends with
// EventDone or EventFailed.
const (
	EventAccepted = "accepted"
	EventPlanned  = "planned"  // Plan is set
	EventBegun    = "begun"    // a step begins
	EventStep     = "step"     // a step is done: Text says what came of it, Took how long it took
	EventProgress = "progress" // a line from within a step: build output, pull progress, a probe's answer
	EventStage    = "stage"    // a stage of a canary: Stage is set, Text says what has become of it
	EventUndo     = "undo"     // the rollout failed and is being undone; Error says why
	EventDone     = "done"     // Receipt is set; Text is "unchanged" where nothing was to do
	EventFailed   = "failed"   // Error is set; State tells failed, rolled-back, paused or aborted
)

// Event is one fact about a rollout, in order. It never carries environment
// values.
type Event struct {
	Seq     int64         `json:"seq"` // per rollout, from 1
	Time    time.Time     `json:"time"`
	Rollout int64         `json:"rollout"`
	Kind    string        `json:"kind"`
	Project string        `json:"project"`
	Service string        `json:"service,omitempty"`
	Release int           `json:"release,omitempty"`
	Replica string        `json:"replica,omitempty"`
	Step    string        `json:"step,omitempty"`    // kind of step
	StepID  string        `json:"step_id,omitempty"` // Step.ID
	Text    string        `json:"text,omitempty"`
	Warning string        `json:"warning,omitempty"` // on EventStep: what is not as it should be, though the step is done
	Took    time.Duration `json:"took,omitempty"`
	State   string        `json:"state,omitempty"` // of the rollout, on EventDone and EventFailed
	Plan    *Plan         `json:"plan,omitempty"`
	Drained *Drained      `json:"drained,omitempty"`
	Stage   *Stage        `json:"stage,omitempty"`
	Receipt *Receipt      `json:"receipt,omitempty"`
	Error   *Error        `json:"error,omitempty"`
}

// Last says whether no event of the rollout follows.
func (e Event) Last() bool { return e.Kind == EventDone || e.Kind == EventFailed }
