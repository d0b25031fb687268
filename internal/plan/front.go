package plan

import (
	"slices"

	"gesalpai.ch/steady"
)

// fronts are the routes of services that stay, in whose network a move's replicas live
// and open ports that are published there: who visits those waits at their gate while
// the move is carried out.
func (b *builder) fronts(m *move) []steady.Route {
	var out []steady.Route
	for _, service := range b.hosts(m.spec()) {
		r, serves := b.route(service)
		if serves && b.move(service) == nil && b.in.Serving[service].Spec.Gate() != nil && len(r.Replicas) > 0 && b.opens(m, r) {
			out = append(out, r)
		}
	}
	return out
}

// hosts are the services in whose network one lives, directly or through another.
func (b *builder) hosts(s steady.Spec) []string {
	var out []string
	for _, sh := range b.shares(s) {
		if sh.Kind == steady.ShareNetwork {
			i := slices.IndexFunc(b.specs, func(o steady.Spec) bool { return o.Service == sh.Service })
			out = append(append(out, sh.Service), b.hosts(b.specs[i])...)
		}
	}
	return out
}

// opens says whether a replica of the move that runs declares a port by which visitors
// come to the route.
func (b *builder) opens(m *move, r steady.Route) bool {
	return slices.ContainsFunc(m.old, func(c steady.Replica) bool {
		return c.Running() && slices.ContainsFunc(steady.Ways(r.Ports, r.Rules), func(w steady.Way) bool { return slices.Contains(c.Exposed, w.Target) })
	})
}

// isFront says whether what comes to a service waits while another one is replaced.
func (b *builder) isFront(service string) bool {
	return slices.ContainsFunc(b.moves, func(m *move) bool {
		return m.Strategy == steady.StrategyHold && slices.ContainsFunc(b.fronts(m), func(r steady.Route) bool { return r.Service == service })
	})
}

// frontsOf are the fronts of a unit that is held, each once.
func (b *builder) frontsOf(unit []*move) []steady.Route {
	var out []steady.Route
	for _, m := range unit {
		for _, r := range b.fronts(m) {
			if m.Strategy == steady.StrategyHold && !slices.ContainsFunc(out, func(o steady.Route) bool { return o.Service == r.Service }) {
				out = append(out, r)
			}
		}
	}
	return out
}

// shutFronts are the routes of fronts at whose gates visitors wait.
func (b *builder) shutFronts(fronts []steady.Route) []steady.Route {
	out := slices.Clone(fronts)
	for i, r := range out {
		out[i].Replicas, out[i].Hold = nil, b.in.Serving[r.Service].Spec.Gate()
	}
	return out
}

// drainFronts waits until nothing is in flight at the replicas of fronts, and gives the
// steps.
func (b *builder) drainFronts(unit []*move, fronts []steady.Route, needs []string) []string {
	var out []string
	for _, r := range fronts {
		for _, name := range r.Replicas {
			out = append(out, b.add(steady.Step{ID: unit[0].Service + "/drain/" + name, Kind: steady.StepDrain, Service: r.Service,
				Release: r.Release, Replica: name, Brief: true, Needs: needs}))
		}
	}
	if len(out) == 0 {
		return needs
	}
	return out
}

// askFronts asks the replicas of fronts for their ports once those run again that open
// them, and gives what the shift needs.
func (b *builder) askFronts(unit []*move, fronts []steady.Route, needs []string) []string {
	out := slices.Clone(needs)
	for _, r := range fronts {
		for _, name := range r.Replicas {
			out = append(out, b.add(steady.Step{ID: unit[0].Service + "/reach/" + name, Kind: steady.StepProbe, Service: r.Service,
				Release: r.Release, Replica: name, Needs: needs, Cause: "those that live in its network run again"}))
		}
	}
	return out
}
