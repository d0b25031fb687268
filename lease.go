package steady

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kinds of lease.
const (
	LeaseRollout = "rollout" // of a rollout that runs: it ends with it
	LeasePerson  = "person"  // of somebody who wants nobody to deploy: it ends when released, or at Expires
)

// How long leases last, and how often a running rollout says that it still does.
const (
	DefaultLease = 30 * time.Minute   // a person's, unless asked otherwise
	MaxLease     = 7 * 24 * time.Hour // a person's
	LeaseBeat    = 5 * time.Second    // of a rollout's heartbeat
	RolloutLease = 30 * time.Second   // after its last heartbeat a rollout's lease has expired
)

// Lease says who alone may change services of a project. Nobody else's rollout of
// one of them begins meanwhile.
//
// A person's lease expires at a moment that was named when it was taken; whether the
// daemon runs meanwhile is all one. A rollout's lease lives as long as its worker,
// whose heartbeat puts the expiry off; where the daemon dies, the next one takes up
// the rollout, and its lease with it, before it lets anybody else begin, or drops the
// lease where the rollout has ended. An expired lease keeps nobody waiting.
type Lease struct {
	Project  string    `json:"project"`
	Services []string  `json:"services,omitempty"` // empty: the project as such, services to come included
	Kind     string    `json:"kind"`
	Owner    string    `json:"owner"`             // user@host
	Message  string    `json:"message,omitempty"` // of a person: why
	Rollout  int64     `json:"rollout,omitempty"`
	What     string    `json:"what,omitempty"` // kind of rollout: deploy, rollback, …
	Step     string    `json:"step,omitempty"` // ID of the step that the rollout began last
	Since    time.Time `json:"since"`
	Beat     time.Time `json:"beat,omitzero"`    // last heartbeat of a rollout
	Expires  time.Time `json:"expires,omitzero"` // zero: not known yet
}

// Meets says whether both are about a service that they share.
func (l Lease) Meets(o Lease) bool {
	if l.Project != o.Project {
		return false
	}
	return len(l.Services) == 0 || len(o.Services) == 0 ||
		slices.ContainsFunc(l.Services, func(s string) bool { return slices.Contains(o.Services, s) })
}

// Ref names what it is a lease of: "shop", or "shop/api, shop/web".
func (l Lease) Ref() string {
	if len(l.Services) == 0 {
		return l.Project
	}
	return l.Project + "/" + strings.Join(l.Services, ", "+l.Project+"/")
}

// Expired says whether the lease is over at a moment.
func (l Lease) Expired(now time.Time) bool { return !l.Expires.IsZero() && !l.Expires.After(now) }

// Holder names who holds it: "rollout 41 of anna@ci (step api/drain/shop-api-40-1)".
func (l Lease) Holder() string {
	switch {
	case l.Kind == LeasePerson && l.Message != "":
		return fmt.Sprintf("the lock of %s (%s)", l.Owner, l.Message)
	case l.Kind == LeasePerson:
		return "the lock of " + l.Owner
	case l.Rollout == 0:
		return "a " + l.What + " of " + l.Owner + " that begins just now"
	case l.Step == "":
		return fmt.Sprintf("rollout %d of %s", l.Rollout, l.Owner)
	}
	return fmt.Sprintf("rollout %d of %s (step %s)", l.Rollout, l.Owner, l.Step)
}

// Validate says what is wrong with a person's wish for a lease, as ErrUsage.
func (l Lease) Validate(now time.Time) error {
	left := l.Expires.Sub(now)
	switch {
	case left <= 0 || left > MaxLease:
		return ErrUsage.With(fmt.Sprintf("a lock for %s is none: it is above 0 and at most %s", left.Round(time.Second), MaxLease), "--for 30m")
	case len(l.Message) > 500:
		return ErrUsage.With(fmt.Sprintf("the message has %d bytes, and at most 500 fit", len(l.Message)), "a shorter one")
	}
	return nil
}

// Waiter is who waits for leases of others to end. The first to come is the first
// to be served, among those that are about the same services.
type Waiter struct {
	Project  string    `json:"project"`
	Services []string  `json:"services,omitempty"` // empty: the project as such
	Owner    string    `json:"owner"`
	What     string    `json:"what"`             // deploy, rollback, lock, …
	Ticket   string    `json:"ticket,omitempty"` // Options.Ticket, by which a caller finds its own
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"` // it gives up then
	For      string    `json:"for"`   // Holder of the lease that is in its way, or the waiter before it
}

// Leases are who may change a project's services alone, and who waits for that.
type Leases struct {
	Held    []Lease  `json:"held"`
	Waiting []Waiter `json:"waiting,omitempty"` // the first to be served first
}
