package plan

import (
	"fmt"
	"slices"

	"gesalpai.ch/steady"
)

// CauseDisowned is the cause of a shift that moves no traffic.
const CauseDisowned = "the old one is asked for its assets no more"

// lends says whether the old replicas are asked, while they still stand beside, for
// assets that the new release does not have. Without a watch window, and where they
// are not kept warm, that would be no time at all.
func (b *builder) lends(m *move) bool {
	return len(m.spec().Assets) > 0 && (m.spec().Update.Monitor > 0 || m.Warm > 0) && m.beside() && m.routed()
}

// lending gives the route of a shift the old replicas that this one, the k-th, and
// those before it have taken out of the traffic and that still stand beside: they
// are asked for assets until disown.
func (b *builder) lending(m *move, k int, r steady.Route) steady.Route {
	if r.Elders = slices.Clone(m.lent.Elders); k == 1 {
		r.Elders = b.stillLent(m)
	}
	for _, old := range b.leaving(m, k) {
		if b.lends(m) && old.Running() && old.Release > 0 && old.Release != m.To {
			r.Elders = append(r.Elders, old.Name)
		}
	}
	if len(r.Elders) > 0 {
		r.Assets = m.spec().Assets
	}
	m.lent = r
	return r
}

// stillLent are the replicas that are asked for assets already and stay warm, as the
// move makes no other release of the service.
func (b *builder) stillLent(m *move) []string {
	now, _ := b.route(m.Service)
	if m.Strategy != steady.StrategyScale && !b.rehearses() || len(m.spec().Assets) == 0 {
		return nil
	}
	var out []string
	for _, name := range now.Elders {
		if c, ok := b.in.Observed.Named(name); ok && c.Running() && c.Release == b.warm(m.Service) {
			out = append(out, name)
		}
	}
	return out
}

// disown lays out the shift after which old replicas that are to go are asked for
// nothing any more, so that they can be drained, and gives the steps that draining
// needs: those given, where none of them was asked.
func (b *builder) disown(m *move, going []steady.Replica, needs []string) []string {
	goes := func(name string) bool {
		return slices.ContainsFunc(going, func(r steady.Replica) bool { return r.Name == name })
	}
	if !slices.ContainsFunc(m.lent.Elders, goes) {
		return needs
	}
	m.lent.Elders = slices.DeleteFunc(slices.Clone(m.lent.Elders), goes)
	if len(m.lent.Elders) == 0 {
		m.lent.Elders, m.lent.Assets = nil, nil
	}
	m.disowned++
	return []string{b.add(steady.Step{ID: fmt.Sprintf("%s/disown/%d", m.Service, m.disowned), Kind: steady.StepShift, Needs: needs,
		Routes: []steady.Route{m.lent}, Cause: CauseDisowned})}
}
