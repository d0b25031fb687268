package plan

import (
	"fmt"
	"slices"

	"gesalpai.ch/steady"
)

// A published port or a route that one service has and another one asks for is handed
// over where the first is an orphan, or asks for it no more in the same rollout: in one
// shift, that of the heir, which takes it away from the one and gives it to the other.
// Nobody is ever without an answer between them.

// claims is what the move's service will have, as a route that leads nowhere yet.
func (m *move) claims(project string) steady.Route {
	return steady.Route{Project: project, Service: m.Service, Ports: m.spec().Ports, Rules: m.spec().Routes}
}

// without is the route without the addresses that the move's service will have.
func (m *move) without(r steady.Route) steady.Route { return r.Without(m.claims(r.Project)) }

// takes says whether the move takes addresses of a route over.
func (m *move) takes(r steady.Route) bool {
	left := m.without(r)
	return len(left.Ports)+len(left.Rules) < len(r.Ports)+len(r.Rules)
}

// handovers finds who takes addresses over from whom. It is steady.ErrPortTaken, or
// steady.ErrRouteTaken, where two services of the project would have one address.
func (b *builder) handovers() error {
	b.heirs = map[string][]*move{}
	var after []steady.Route
	for _, r := range b.in.Routes {
		moves := slices.ContainsFunc(b.moves, func(m *move) bool { return m.Service == r.Service })
		for _, m := range b.moves {
			if m.Service == r.Service || !m.takes(r) {
				continue
			}
			if b.asks(r, m) { // both want it: see clashing
				continue
			}
			if !moves && b.orphan(r.Service) == nil {
				return b.refused(m, r)
			}
			if err := sameAddress(m, r); err != nil {
				return err
			}
			b.heirs[r.Service] = append(b.heirs[r.Service], m)
			m.heir = true
		}
		if !moves {
			after = append(after, stripped(r, b.heirs[r.Service]))
		}
	}
	for _, m := range b.moves {
		after = append(after, m.claims(b.in.Project))
	}
	if err := clashing(after); err != nil {
		return err
	}
	return b.inOrder()
}

// asks says whether the target of a route's service wants an address that the move takes.
func (b *builder) asks(r steady.Route, m *move) bool {
	return slices.ContainsFunc(b.in.Targets, func(t Target) bool {
		return t.Release.Service == r.Service && m.takes(steady.Route{Project: r.Project, Ports: t.Release.Spec.Ports, Rules: t.Release.Spec.Routes})
	})
}

// sameAddress refuses a port that would go from one address of the host to another, as
// the kernel lets nobody listen on both for a moment.
func sameAddress(m *move, r steady.Route) error {
	for _, p := range m.spec().Ports {
		for _, q := range r.Ports {
			if p.Meets(q) && !sameDoor(p, q) {
				had, wants := steady.PortRange{Port: q}, steady.PortRange{Port: p}
				return steady.ErrPortTaken.With(fmt.Sprintf("%s has port %s, and %s wants %s: a port goes from one service to another at the same address only", r.Service, had, m.Service, wants),
					fmt.Sprintf("publish %s first, then deploy again with the other address; or steady down %s", had, r.Service))
			}
		}
	}
	return nil
}

// refused says why a move cannot have an address of a service that the rollout leaves as
// it is.
func (b *builder) refused(m *move, r steady.Route) error {
	sentinel, what := steady.ErrRouteTaken, "a host and path that is routed to"
	if both := meeting(m.spec().Ports, r.Ports); len(both) > 0 {
		sentinel, what = steady.ErrPortTaken, fmt.Sprintf("port %s, which is published by", both[0])
	}
	text := fmt.Sprintf("%s asks for %s %s", m.Service, what, r.Service)
	if b.in.Kind != steady.KindDeploy && b.in.Kind != "" {
		return sentinel.With(text+" by now", fmt.Sprintf("put %s back into the Compose file in the place of %s, then steady deploy; or steady down %s", m.Service, r.Service, r.Service))
	}
	return sentinel.With(text+" still, and this deploy leaves that one as it is",
		fmt.Sprintf("steady deploy %s %s, where the file has %s without it; or steady down %s", r.Service, m.Service, r.Service, r.Service))
}

// clashing is steady.ErrPortTaken where two services of the project would listen
// on one address: as in Compose only one can have it.
func clashing(routes []steady.Route) error {
	for i, r := range routes {
		for _, other := range routes[:i] {
			if both := meeting(r.Ports, other.Ports); len(both) > 0 {
				return steady.ErrPortTaken.With(fmt.Sprintf("services %s and %s both publish port %s", other.Service, r.Service, both[0]),
					"give one of them another published port")
			}
		}
	}
	if taken := steady.Clash(routes); taken != nil {
		return taken
	}
	return nil
}

// inOrder decides when each service that is replaced old first gets its turn: an heir
// never after the service that it takes an address from, as nobody would have that
// meanwhile. Those that stand beside their old ones have theirs in the common shift.
func (b *builder) inOrder() error {
	for changed := true; changed; {
		changed = false
		for _, m := range b.moves {
			behind := slices.ContainsFunc(b.ahead(m), func(h *move) bool { return !away(h.Strategy) || h.late }) ||
				slices.ContainsFunc(b.unit(m), func(o *move) bool { return o.late })
			if away(m.Strategy) && !m.late && behind {
				m.late, changed = true, true
			}
		}
	}
	for _, m := range b.moves {
		for _, h := range b.ahead(m) {
			if h.late && !away(m.Strategy) || b.gets(m, h, nil) && (away(m.Strategy) || away(h.Strategy)) {
				return steady.ErrPortTaken.With(fmt.Sprintf("services %s and %s exchange published ports or routes, and one of them is replaced old first: there would be a gap", m.Service, h.Service),
					"give one of them an address of its own first and deploy, then the other one")
			}
		}
	}
	return nil
}

// ahead are the moves that must have had their shift before a move begins that is
// replaced old first: they take addresses over from its service, or from an orphan that
// stops for it.
func (b *builder) ahead(m *move) []*move {
	out := slices.Clone(b.heirs[m.Service])
	for _, o := range m.replaces {
		out = append(out, b.heirs[o.Service]...)
	}
	return slices.DeleteFunc(out, func(h *move) bool { return h == m || away(h.Strategy) && slices.Contains(b.unit(m), h) })
}

// gets says whether a move takes an address over from another, be it by others.
func (b *builder) gets(m, from *move, seen []*move) bool {
	for _, h := range b.ahead(from) {
		if h == m || !slices.Contains(seen, h) && b.gets(m, h, append(seen, h)) {
			return true
		}
	}
	return false
}

// exchanges lays out the moves that are replaced old first, heirs before those that they
// take addresses from.
func (b *builder) exchanges(late bool, barrier []string) {
	done := map[*move]bool{}
	var visit func(m *move)
	visit = func(m *move) {
		if done[m] || !away(m.Strategy) || m.late != late {
			return
		}
		unit := slices.DeleteFunc(b.unit(m), func(o *move) bool { return !away(o.Strategy) })
		for _, o := range unit {
			done[o] = true
		}
		needs := slices.Clone(barrier)
		for _, o := range unit {
			for _, h := range b.ahead(o) {
				if visit(h); done[h] && !slices.Contains(unit, h) {
					needs = append(needs, b.shiftOf(h))
				}
			}
		}
		for _, o := range unit {
			b.exchange(o, needs)
		}
	}
	for _, m := range b.moves {
		visit(m)
	}
}

// shiftOf is the shift of a move that is replaced old first, together with its unit.
func (b *builder) shiftOf(m *move) string {
	unit := slices.DeleteFunc(b.unit(m), func(o *move) bool { return !away(o.Strategy) })
	return unit[0].Service + "/shift"
}

// handOver completes the shifts: an heir has what it takes over from its first shift to
// replicas that are ready on, and the other one has it no more from that shift on.
func (b *builder) handOver() {
	for _, from := range b.in.Routes {
		if len(b.heirs[from.Service]) > 0 {
			b.handOverFrom(from)
		}
	}
}

func (b *builder) handOverFrom(now steady.Route) {
	var have []*move // heirs that have got what they take over
	from := now
	for i, s := range b.plan.Steps {
		if s.Kind != steady.StepShift {
			continue
		}
		for _, m := range b.heirs[now.Service] {
			if !slices.Contains(have, m) && b.enthrones(s, m) {
				have = append(have, m)
			}
		}
		routes, there := slices.Clone(s.Routes), false
		for k, r := range routes {
			j := slices.IndexFunc(b.heirs[now.Service], func(m *move) bool { return m.Service == r.Service })
			switch {
			case r.Service == now.Service:
				from, there = stripped(r, have), true
				routes[k] = from
			case j >= 0 && !slices.Contains(have, b.heirs[now.Service][j]):
				routes[k] = r.Without(now)
			}
		}
		if left := stripped(from, have); !there && len(left.Ports)+len(left.Rules) < len(from.Ports)+len(from.Rules) {
			from, routes = left, append(routes, left)
		}
		b.plan.Steps[i].Routes = routes
	}
}

// stripped is a route without the addresses of all the moves' services.
func stripped(r steady.Route, heirs []*move) steady.Route {
	for _, m := range heirs {
		r = m.without(r)
	}
	return r
}

// enthrones says whether a shift is the one that gives the move's service its addresses:
// one that it has to itself for others to call it by name is not.
func (b *builder) enthrones(s steady.Step, m *move) bool {
	if s.Kind != steady.StepShift || s.Stage != nil || m.early() && s.ID == m.Service+"/shift" {
		return false
	}
	return slices.ContainsFunc(s.Routes, func(r steady.Route) bool {
		return r.Service == m.Service && r.Release == m.To && (len(r.Replicas) > 0 || len(m.fresh) == 0 || len(m.replaces) > 0)
	})
}
