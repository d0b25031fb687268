package plan

import (
	"fmt"
	"slices"

	"gesalpai.ch/steady"
)

// batch is how many new replicas stand after the k-th batch, counted from 1. Where
// the ports differ there is one batch: one pool cannot hold old and new then.
func (m *move) batch(k int) int {
	p := m.spec().Update.Parallelism
	if p <= 0 || m.moved || m.awake || m.joined || m.Strategy != steady.StrategyStartNew && m.Strategy != steady.StrategyOverlap {
		return len(m.fresh)
	}
	return min(k*p, len(m.fresh))
}

func (m *move) final(k int) bool { return m.batch(k) == len(m.fresh) }

// shifts lays out the common shift of all that stand beside their old ones, and
// behind it, service by service, the batches that are still to come.
func (b *builder) shifts() {
	b.canaries(append(b.barrier(), b.last...))
	needs := append(b.barrier(), b.last...)
	for _, m := range b.moves {
		if b.enters(m) && m.beside() {
			b.holder(m, needs)
		}
	}
	needs = append(b.barrier(), b.last...)
	var routes []steady.Route
	for _, m := range b.moves {
		switch {
		case m.Strategy == steady.StrategyJob:
			routes = append(routes, b.routeTo(m, m.To, m.fresh))
		case m.common():
			routes = append(routes, b.lending(m, 1, b.routeTo(m, m.To, b.mixed(m, 1))))
		}
	}
	if len(routes) > 0 {
		id := b.add(steady.Step{ID: "shift", Kind: steady.StepShift, Needs: needs, Routes: routes})
		b.last = append(b.last, id)
		for _, m := range b.moves {
			if m.common() {
				b.watch(m, 1, id)
			}
		}
	}
	stage := slices.Clone(b.last)
	stopped := map[string][]string{}
	for _, m := range b.moves {
		if m.beside() && !m.early() {
			stopped[m.Service] = b.batches(m, stage)
		}
	}
	b.exchanges(true, b.leaves(b.last))
	b.retires(stopped)
}

// common says whether the service is in the common shift: it stands beside its old one
// until then, or takes addresses over from others.
func (m *move) common() bool { return m.beside() && (!m.early() || m.heir) }

// batches brings and shifts batch after batch behind the common shift and its
// watches. Old replicas stay meanwhile, as the way back of the whole rollout, but
// where memory has no room for them: there each batch's go before the next comes.
// It gives the stops of those.
func (b *builder) batches(m *move, needs []string) []string {
	var gone []string
	roomy := b.roomy()
	for k := 2; !m.final(k - 1); k++ {
		after := needs
		if !roomy {
			if stops := b.retire([]*move{m}, func(m *move) []steady.Replica { return b.leaving(m, k-1) }, needs); len(stops) > 0 {
				gone, after = append(gone, stops...), stops
				b.because(stops, "memory limits leave no room for all old and new replicas at once")
			}
		}
		if d := m.spec().Update.Delay; d > 0 {
			after = []string{b.add(steady.Step{ID: fmt.Sprintf("%s/delay/%d", m.Service, k), Kind: steady.StepDelay, Service: m.Service, For: d, Needs: after})}
		}
		ready := b.bring(m, m.batch(k-1), m.batch(k), after)
		id := b.add(steady.Step{ID: fmt.Sprintf("%s/shift/%d", m.Service, k), Kind: steady.StepShift, Needs: ready,
			Routes: []steady.Route{b.lending(m, k, b.routeTo(m, m.To, b.mixed(m, k)))}})
		b.last = append(b.last, id)
		needs = []string{id}
		if m.spec().Update.Monitor > 0 {
			b.watch(m, k, id)
			needs = []string{b.last[len(b.last)-1]}
		}
	}
	return gone
}

// because says why steps are where they are.
func (b *builder) because(ids []string, cause string) {
	for i, s := range b.plan.Steps {
		if slices.Contains(ids, s.ID) {
			b.plan.Steps[i].Cause = cause
		}
	}
}

// retires stops the old replicas that stand beside the new ones: none of any
// service before every shift and every watch of all services is over, as a stop is
// what no shift can take back. Then published ports that they held are bound.
func (b *builder) retires(gone map[string][]string) {
	needs := b.leaves(b.last)
	b.served = needs
	retired := map[string][]string{} // by the service that comes first in its unit
	for _, m := range b.moves {
		if !m.retires() {
			continue
		}
		unit := slices.DeleteFunc(b.unit(m), func(o *move) bool { return !o.retires() })
		stops, done := retired[unit[0].Service]
		if !done {
			stops = b.retire(unit, func(m *move) []steady.Replica {
				return slices.DeleteFunc(slices.Clone(m.old), func(r steady.Replica) bool {
					return slices.Contains(gone[m.Service], m.Service+"/stop/"+r.Name)
				})
			}, needs)
			retired[unit[0].Service] = stops
		}
		if m.adopts() {
			b.bind(m, append(slices.Clone(stops), gone[m.Service]...))
		}
	}
}

// retires says whether old replicas of the move are stopped when all has been shifted
// and watched. What is a job now may have been a service.
func (m *move) retires() bool {
	return (m.beside() || m.Strategy == steady.StrategyJob) && !m.early()
}

// bind has the proxy listen on the published ports itself.
func (b *builder) bind(m *move, stops []string) {
	r := b.routeTo(m, m.To, m.fresh)
	r.Redirect, r.Elders, r.Assets = false, m.lent.Elders, m.lent.Assets
	b.last = append(b.last, b.add(steady.Step{ID: m.Service + "/bind", Kind: steady.StepShift, Needs: stops, Routes: []steady.Route{r},
		Cause: "the old container has let go of the port"}))
}

// staying lists the old replicas that still take traffic after the k-th batch.
func (b *builder) staying(m *move, k int) []steady.Replica {
	now, _ := b.route(m.Service)
	routed := slices.DeleteFunc(slices.Clone(m.old), func(r steady.Replica) bool { return !slices.Contains(now.Replicas, r.Name) })
	if m.final(k) {
		return nil
	}
	return routed[min(len(routed), m.batch(k)):]
}

// leaving lists the old replicas whose time ends with the k-th batch.
func (b *builder) leaving(m *move, k int) []steady.Replica {
	before := m.old
	if k > 1 {
		before = b.staying(m, k-1)
	}
	stay := b.staying(m, k)
	return slices.DeleteFunc(slices.Clone(before), func(r steady.Replica) bool {
		return slices.ContainsFunc(stay, func(s steady.Replica) bool { return s.Name == r.Name })
	})
}

// mixed names all replicas that take traffic after the k-th batch.
func (b *builder) mixed(m *move, k int) []string {
	out := slices.Clone(m.fresh[:m.batch(k)])
	for _, r := range b.staying(m, k) {
		out = append(out, r.Name)
	}
	return out
}

// removes ends the plan: until here all could be undone.
func (b *builder) removes() {
	var all []string
	for _, s := range b.plan.Steps {
		switch s.Kind {
		case steady.StepShift, steady.StepWatch, steady.StepStop:
			all = append(all, s.ID)
		}
	}
	needs := b.leaves(all)
	for _, m := range b.moves {
		b.keepWarm(m, needs)
		for _, r := range m.old {
			if m.kept(r) {
				continue
			}
			b.add(steady.Step{ID: m.Service + "/remove/" + r.Name, Kind: steady.StepRemove, Service: m.Service, Release: r.Release,
				Replica: r.Name, Needs: needs})
		}
	}
	b.forgets(b.orphansThat(steady.StrategyRemove), needs)
}
