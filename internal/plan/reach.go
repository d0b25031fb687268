package plan

import (
	"slices"

	"gesalpai.ch/steady"
)

// reaches is what the new replicas of a move must accept on before they take traffic,
// nil where nothing comes to them from outside. What is needed of it says Expect.
func (b *builder) reaches(m *move) *steady.Reach {
	spec := m.spec()
	ways := steady.Ways(spec.Ports, spec.Routes)
	switch {
	case m.Strategy == steady.StrategyKeep && b.isFront(m.Service) && spec.Probe.Reach != steady.ReachOff: // others open its ports
		return &steady.Reach{Ways: ways}
	case len(ways) == 0 || m.Replicas == 0 || m.Strategy == steady.StrategyKeep || m.Strategy == steady.StrategyJob:
		return nil
	case spec.Probe.Reach == steady.ReachOff:
		return nil
	}
	return &steady.Reach{Ways: ways}
}

// Before is what is known of the release that serves.
type Before struct {
	Had     []steady.Way // by which visitors come to it; empty: nothing serves
	Accepts []steady.Way // those of them on which it accepts
}

// Expect completes what a service's new replicas must accept on by what is known of
// those that serve. A release is not put in force where fewer ways would reach it than
// the one before, or none where nothing was known to be reached; a port that nobody
// listened on before may stay so. A rollback may go to a release with fewer ways: one
// of them is enough.
func Expect(want steady.Reach, before Before, kind string) *steady.Reach {
	out := &steady.Reach{Ways: slices.Clone(want.Ways)}
	for i, w := range out.Ways {
		named := func(o steady.Way) bool { return o.Name == w.Name }
		accepts := slices.ContainsFunc(before.Accepts, named)
		need := ""
		switch {
		case w.Part: // apps open these on demand
		case accepts && kind != steady.KindRollback:
			need = steady.NeedMust
		case accepts, !slices.ContainsFunc(before.Had, named):
			need = steady.NeedHoped
		}
		out.Ways[i].Need = need
		out.One = out.One || !w.Part && (len(before.Had) == 0 || len(before.Accepts) > 0)
	}
	return out
}
