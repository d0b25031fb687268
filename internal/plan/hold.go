package plan

import (
	"fmt"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// away says whether the old replicas go before the new ones start.
func away(strategy string) bool {
	return strategy == steady.StrategyStopFirst || strategy == steady.StrategyHold
}

// exchanged has old and new exchange their places for a cause: behind a shut gate
// where what comes to the service comes through the proxy, also where the file only
// says stop-first. Old before new is what it asks for; that requests are lost
// meanwhile it does not, unless x-steady.hold says so.
func (b *builder) exchanged(m *move, cause string) {
	m.Strategy, m.Cause = steady.StrategyHold, cause
	if m.spec().Gate() == nil {
		m.Strategy, m.Cause = steady.StrategyStopFirst, cause+"; x-steady.hold is off"
	} else if !b.holdable(m) {
		m.Strategy = steady.StrategyStopFirst
	}
}

// holdable says whether visitors come to what runs now through the proxy, so that
// it can have them wait. A container that publishes its ports itself is visited past
// it, and so is one in the host's network, but for its routes.
func (b *builder) holdable(m *move) bool {
	now, ok := b.route(m.Service)
	spec := m.spec()
	switch {
	case !ok && len(m.replaces) > 0: // what comes waits for the new one from the start
		return len(spec.Ports)+len(spec.Routes) > 0 || m.held()
	case !ok:
		return false
	case slices.ContainsFunc(m.old, func(r steady.Replica) bool { return r.Running() && len(r.Published) > 0 }):
		return false
	case spec.NetworkMode == "host", strings.Contains(spec.NetworkMode, ":"):
		return len(now.Rules) > 0 || len(b.fronts(m)) > 0
	}
	return len(now.Ports)+len(now.Rules) > 0 || now.Held
}

// withdrawn is the route while nobody answers: what comes waits, where it is held.
func (b *builder) withdrawn(m *move) steady.Route {
	r := b.routeTo(m, m.From, nil)
	if m.From == 0 {
		r.Release, r.Held = m.To, r.Held && !b.enters(m) // its holder comes later
	}
	if m.Strategy == steady.StrategyHold {
		r.Hold = m.spec().Gate()
	}
	return r
}

// gate is what the service was held with before the undo; nil: it was not.
func (u *undoer) gate(service string) *steady.Hold {
	for _, s := range u.was.Steps {
		for _, r := range s.Routes {
			if r.Service == service && r.Hold != nil {
				return r.Hold
			}
		}
	}
	return nil
}

// crowded says why the host has no room for old and new side by side, or nothing.
func (b *builder) crowded(m *move) string {
	limit, host := memoryLimit(m.spec()), b.in.Observed.Memory
	beside := min(max(m.spec().Update.Parallelism, 0), m.Replicas)
	if beside == 0 {
		beside = m.Replicas
	}
	n := int64(m.Replicas + beside)
	if limit == 0 || host == 0 || n*limit <= host {
		return ""
	}
	return fmt.Sprintf("old and new side by side may take %d × %s of memory, and the host has %s", n, size(limit), size(host))
}

func size(bytes int64) string {
	if bytes >= 1<<30 {
		return strings.Replace(fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)), ".0 ", " ", 1)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// heldNotice says what a visitor will notice of a hold.
func heldNotice(s steady.Spec) string {
	return fmt.Sprintf("requests and new connections wait while the old one stops and the new one starts, each for at most %s, then 503; open streams end", s.Gate().For)
}
