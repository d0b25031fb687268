package steady

import (
	"net/url"
	"slices"
	"time"
)

// What a receiver may be told of, in the words of Rollout.State but for the first.
const NotifyAccepted = EventAccepted

// Notices are what receivers may be told of. RolloutUnchanged is told only to those
// that ask for it.
func Notices() []string {
	return []string{NotifyAccepted, RolloutDone, RolloutUnchanged, RolloutFailed, RolloutRolledBack, RolloutPaused, RolloutAborted}
}

// Receiver is somebody who is told of a project's rollouts, in one of three ways.
// URLs and commands may hold secrets: of a receiver only Name is ever printed.
type Receiver struct {
	Webhook string   `json:"webhook,omitempty"` // URL that gets JSON, signed where there is a secret
	Slack   string   `json:"slack,omitempty"`   // URL that gets {"text": …}
	Command []string `json:"command,omitempty"` // argv, run on the host with JSON as its input
	Dir     string   `json:"dir,omitempty"`     // absolute; where Command runs

	SecretFile string `json:"secret_file,omitempty"` // absolute path of the webhook's secret
	SecretEnv  string `json:"secret_env,omitempty"`  // the variable of the daemon's that holds it

	On []string `json:"on,omitempty"` // of Notices; empty: all but RolloutUnchanged
}

// Name is the receiver for a person: its kind, and its host without path and
// credentials, or its program.
func (r Receiver) Name() string {
	kind, at := "webhook", r.Webhook
	switch {
	case len(r.Command) > 0:
		return "command " + Program(r.Command, slices.Equal(r.Command[:min(2, len(r.Command))], []string{"/bin/sh", "-c"}))
	case r.Slack != "":
		kind, at = "slack", r.Slack
	}
	u, err := url.Parse(at)
	if err != nil {
		return kind
	}
	return kind + " " + u.Host
}

// Wants says whether the receiver is to be told.
func (r Receiver) Wants(notice string) bool {
	if len(r.On) == 0 {
		return notice != RolloutUnchanged
	}
	return slices.Contains(r.On, notice)
}

// Delivery is one message to one receiver, on its way or over.
type Delivery struct {
	ID       int64     `json:"id"`
	Project  string    `json:"project"`
	Rollout  int64     `json:"rollout,omitempty"` // 0: a test
	Notice   string    `json:"notice"`
	Receiver Receiver  `json:"receiver,omitzero"` // left out where it is shown
	Name     string    `json:"name"`              // Receiver.Name()
	Body     []byte    `json:"body,omitempty"`    // left out where it is shown
	Made     time.Time `json:"made"`
	Due      time.Time `json:"due,omitzero"`    // of the next try; zero once it is over
	Tries    int       `json:"tries"`           // so far
	Ended    time.Time `json:"ended,omitzero"`  // delivered or given up; zero: on its way
	Error    string    `json:"error,omitempty"` // of the last try; empty: delivered, or not tried yet
}

// Delivered says whether the receiver has it.
func (d Delivery) Delivered() bool { return !d.Ended.IsZero() && d.Error == "" }

// Shown is the delivery without what may hold a secret.
func (d Delivery) Shown() Delivery {
	d.Receiver, d.Body = Receiver{}, nil
	return d
}
