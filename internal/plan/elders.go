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
	if !b.lends(m) {
		return r
	}
	r.Elders = slices.Clone(m.lent.Elders)
	for _, old := range b.leaving(m, k) {
		if old.Running() && old.Release > 0 && old.Release != m.To {
			r.Elders = append(r.Elders, old.Name)
		}
	}
	if len(r.Elders) > 0 {
		r.Assets = m.spec().Assets
	}
	m.lent = r
	return r
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
