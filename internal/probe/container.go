package probe

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// stayed begins the text of an answer about a state that does not change.
const stayed = "stayed "

// Address is where a replica is reached from the host: the address in the first of
// its networks, by name, or the host itself where it uses the host's network. It
// says false for one that has none yet.
func Address(r steady.Replica) (string, bool) {
	if r.HostNet {
		return "127.0.0.1", true
	}
	for _, network := range slices.Sorted(maps.Keys(r.Addresses)) {
		if addr := r.Addresses[network]; addr != "" {
			return addr, true
		}
	}
	return "", false
}

// locate waits until the container runs and, where it is asked over the network,
// has an address.
func (a *attempt) locate(ctx context.Context) error {
	for {
		r, err := a.engine.Replica(ctx, a.name)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, steady.ErrNoReplica):
			return err
		case err != nil: // the Engine may be back in a moment
			a.heard.note(answer{text: "could not be inspected (" + err.Error() + ")"})
		default:
			a.replica, a.restarts = r, a.history(r)
			if err := a.fault(r); err != nil {
				return err
			}
			if text := a.lacks(r); text != "" {
				a.heard.note(answer{text: text})
				break
			}
			a.heard = tally{since: time.Now()} // from here on only what the replica itself answers counts
			return nil
		}
		if err := wait(ctx, min(a.probe.Interval, watchPause)); err != nil {
			return err
		}
	}
}

// lacks says what the container still needs before it can be asked.
func (a *attempt) lacks(r steady.Replica) string {
	if !r.Running() {
		return stayed + r.State
	}
	if a.probe.Kind != steady.ProbeHTTP && a.probe.Kind != steady.ProbeTCP && a.reach == nil {
		return ""
	}
	if _, ok := Address(r); !ok {
		return stayed + "without an address"
	}
	return ""
}

// history is how many restarts are none of this probe's business: those of a
// container that is asked again, or has been up for longer than the deadline. The
// Engine counts from zero with every start of ours.
func (a *attempt) history(r steady.Replica) int {
	if a.again || time.Since(r.Started) > a.probe.Deadline {
		return r.Restarts
	}
	return 0
}

// watch looks at the container beside the questions, and returns what is wrong
// with it; nil when ctx ends first.
func (a *attempt) watch(ctx context.Context) error {
	for wait(ctx, watchPause) == nil {
		if _, err := a.inspect(ctx); err != nil {
			return err
		}
	}
	return nil
}

// inspect looks at the container once. An error says what is wrong with it; when
// the Engine does not answer, nothing is known and nothing is wrong.
func (a *attempt) inspect(ctx context.Context) (steady.Replica, error) {
	r, err := a.engine.Replica(ctx, a.name)
	if errors.Is(err, steady.ErrNoReplica) {
		return r, err
	}
	if err != nil {
		return steady.Replica{}, nil
	}
	return r, a.fault(r)
}

// askHealth is the question of a docker probe: what does the Engine say?
func (a *attempt) askHealth(ctx context.Context) (answer, error) {
	r, err := a.inspect(ctx)
	switch r.Health {
	case steady.HealthHealthy:
		return answer{good: true, text: "healthy"}, err
	case "":
		return answer{text: stayed + "without a health status"}, err
	}
	return answer{text: stayed + r.Health + " by its own healthcheck"}, err
}

// askRunning is the question of a running probe: is it up, and the time over?
func (a *attempt) askRunning(ctx context.Context, settled time.Time) (answer, error) {
	r, err := a.inspect(ctx)
	switch {
	case !r.Running():
		return answer{text: stayed + r.State}, err
	case time.Now().Before(settled):
		return answer{text: "has not been up for " + short(a.probe.Settle)}, err
	}
	return answer{good: true, text: "running for " + short(a.probe.Settle)}, err
}
