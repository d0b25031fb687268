package plan

import (
	"slices"

	"gesalpai.ch/steady"
)

// warmth decides whether the release that serves is kept running after the move,
// and whether the one that is wanted runs already, as it was kept so.
func (b *builder) warmth(m *move) {
	m.awake = b.isAwake(m)
	if m.awake {
		m.Cause = "its replicas are still warm: there is only to shift"
	}
	if m.spec().Warm == 0 || b.rehearses() || m.From == 0 || m.From == m.To || m.Strategy == steady.StrategyStart {
		return
	}
	if m.Cold = cold(m); m.Cold == "" {
		m.Warm = m.spec().Warm
	}
}

// cold says why the release before cannot be kept running beside the new one.
func cold(m *move) string {
	switch m.Strategy {
	case steady.StrategyStartNew, steady.StrategyCanary:
	case steady.StrategyOverlap:
		return "nothing comes to it through a port or a route, so it would go on with work of its own"
	case steady.StrategyJob:
		return "it runs once"
	default:
		return "old and new cannot run beside each other"
	}
	switch {
	case m.joined:
		return "others share with it, or it with them, and none of them can go on alone"
	case !m.held() && len(m.spec().Networks) > 0:
		return "its names are on its replicas, so calls by name would still come to the old ones"
	}
	return ""
}

// cools keeps nothing warm where memory has no room for all old and new replicas at
// once: there old ones go so that new ones can come.
func (b *builder) cools() {
	if b.roomy() {
		return
	}
	for _, m := range b.moves {
		if m.Warm == 0 {
			continue
		}
		m.Warm, m.Cold = 0, "memory limits leave no room for all old and new replicas at once"
		i := slices.IndexFunc(b.plan.Services, func(s steady.ServicePlan) bool { return s.Service == m.Service })
		b.plan.Services[i] = m.ServicePlan
	}
}

// isAwake says whether all replicas of the wanted release run, kept warm, and only
// a shift is to be made.
func (b *builder) isAwake(m *move) bool {
	now, _ := b.route(m.Service)
	if m.joined || m.Strategy != steady.StrategyStartNew || now.Held != m.held() || len(m.fresh) == 0 || b.warm(m.Service) != m.To {
		return false
	}
	return !slices.ContainsFunc(m.fresh, func(name string) bool { return !b.stands(m, name) })
}

// stands says whether a replica of the wanted release runs already, as one does that
// was kept warm, or left by a rollout that paused. It is not made, so that it stays
// where the move is undone: it may be the only one that can serve.
func (b *builder) stands(m *move, name string) bool {
	c, ok := b.in.Observed.Named(name)
	return ok && (m.Strategy == steady.StrategyStartNew || m.Strategy == steady.StrategyStart) &&
		c.Running() && c.Release == m.To && c.Image == m.target.Image.ID
}

// warm is the release of a service that is kept running; 0: none is.
func (b *builder) warm(service string) int {
	i := slices.IndexFunc(b.in.Warm, func(w steady.Warm) bool { return w.Service == service })
	if i < 0 {
		return 0
	}
	return b.in.Warm[i].Release
}

// unneeded leaves out the replicas that are kept running: they are not too many.
func (b *builder) unneeded(all []steady.Replica) []steady.Replica {
	return slices.DeleteFunc(all, func(r steady.Replica) bool { return r.Release > 0 && r.Release == b.warm(r.Service) })
}

// kept says whether an old replica stays, un-routed, when the move is done.
func (m *move) kept(r steady.Replica) bool { return m.Warm > 0 && r.Release == m.From && r.Running() }

// rouse asks the replicas that are kept running whether they can serve: that is all
// there is to do before the shift.
func (b *builder) rouse(m *move) {
	for _, name := range m.fresh {
		b.ask(m, name, slices.Clone(b.hooks))
	}
}

// keepWarm notes at the end which release of the service is kept from now on, or
// that none is any more.
func (b *builder) keepWarm(m *move, needs []string) {
	was := b.warm(m.Service)
	switch {
	case m.Strategy == steady.StrategyScale || m.Strategy == steady.StrategyJob || b.rehearses():
	case m.Warm > 0:
		b.add(steady.Step{ID: m.Service + "/warm", Kind: steady.StepWarm, Service: m.Service, Release: m.From, For: m.Warm, Needs: needs,
			Cause: "kept running, without traffic"})
	case was > 0:
		b.add(steady.Step{ID: m.Service + "/warm", Kind: steady.StepWarm, Service: m.Service, Release: was, Needs: needs,
			Cause: "not kept running any more"})
	}
}
