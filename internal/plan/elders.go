package plan

import (
	"fmt"

	"gesalpai.ch/steady"
)

// lends says whether the old replicas are asked, while they still stand beside, for
// assets that the new release does not have. Without a watch window that would be
// no time at all.
func (b *builder) lends(m *move) bool {
	return len(m.spec().Assets) > 0 && m.spec().Update.Monitor > 0 && m.beside() && m.routed()
}

// lending gives the k-th batch's route the old replicas that it takes out of the
// traffic: they are asked for assets until disown.
func (b *builder) lending(m *move, k int, r steady.Route) steady.Route {
	if !b.lends(m) {
		return r
	}
	for _, old := range b.leaving(m, k) {
		if old.Running() && old.Release > 0 && old.Release != m.To {
			r.Elders = append(r.Elders, old.Name)
		}
	}
	if len(r.Elders) > 0 {
		r.Assets = m.spec().Assets
	}
	return r
}

// disown lays out the shift after which the old replicas that the k-th batch has
// replaced are asked for nothing any more, so that they can be drained, and gives
// the steps that draining needs: those given where nothing was asked of them.
func (b *builder) disown(m *move, k int, needs []string) []string {
	if len(b.lending(m, k, steady.Route{}).Elders) == 0 {
		return needs
	}
	id := b.add(steady.Step{ID: fmt.Sprintf("%s/disown/%d", m.Service, k), Kind: steady.StepShift, Needs: needs,
		Routes: []steady.Route{b.routeTo(m, m.To, b.mixed(m, k))}, Cause: "the old one is asked for its assets no more"})
	return []string{id}
}
