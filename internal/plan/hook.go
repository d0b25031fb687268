package plan

import (
	"slices"

	"gesalpai.ch/steady"
)

// hook is the move's hook before or after, nil where none is to run: scaling makes no
// release, neither does going on with one that serves, a drill brings nothing new, and
// a rollback does not migrate unless the file says so.
func (b *builder) hook(m *move, moment string) *steady.Hook {
	h := m.spec().Hooks.At(moment)
	switch {
	case h == nil, !m.releases(), b.rehearses(), m.Strategy == steady.StrategyJob && h.On == steady.HookExec:
		return nil
	case moment == steady.HookBefore && b.backwards(h):
		return nil
	}
	return h
}

// releases says whether the move takes the service to another release.
func (m *move) releases() bool {
	return m.Strategy != steady.StrategyScale && m.Strategy != steady.StrategyRemove && (m.From == 0 || m.To != m.From)
}

// backwards says whether the rollout is a rollback, and the hook not for that.
func (b *builder) backwards(h *steady.Hook) bool {
	return b.in.Kind == steady.KindRollback && !h.OnRollback
}

// before lays out the hooks that run before any new replica is created, one behind
// the other, in dependency order. What a hook waits for, and starts in this very
// rollout, must come before it; all else is created behind the last hook.
func (b *builder) before() {
	b.whole(steady.HookBefore, b.images())
	early := b.awaited()
	for _, m := range b.moves {
		if h := b.hook(m, steady.HookBefore); h != nil {
			needs := slices.Concat([]string{b.networks(m)}, b.dependencies(m), b.hooks)
			b.hooks = []string{b.add(hookStep(m, steady.HookBefore, h, needs))}
		}
		if early[m.Service] {
			b.lay(m)
		}
	}
}

// images are the steps that bring images: a hook of the project needs them all, as
// nothing may happen where one is missing.
func (b *builder) images() []string {
	var out []string
	for _, s := range b.plan.Steps {
		out = append(out, s.ID)
	}
	return out
}

// awaited are the services that hooks wait for and that are started in this rollout.
func (b *builder) awaited() map[string]bool {
	out := map[string]bool{}
	for _, m := range slices.Backward(b.moves) { // those that depend come first
		starts := (m.Strategy == steady.StrategyStart || m.Strategy == steady.StrategyJob) && !b.sharesLater(m)
		out[m.Service] = out[m.Service] && starts
		if !out[m.Service] && b.hook(m, steady.HookBefore) == nil {
			continue
		}
		for _, service := range needed(m.spec(), b.specs) {
			out[service] = true
		}
	}
	return out
}

// sharesLater says whether a move shares with one whose new container comes behind the
// hooks.
func (b *builder) sharesLater(m *move) bool {
	return slices.ContainsFunc(m.Shares, func(s string) bool {
		o := b.move(s)
		return o != nil && b.renewed(s) && (o.Strategy != steady.StrategyStart || b.sharesLater(o))
	})
}

// lay lays out what no visitor can see of a move, once.
func (b *builder) lay(m *move) {
	if b.laid[m.Service] {
		return
	}
	b.laid[m.Service] = true
	if m.Strategy == steady.StrategyJob {
		b.job(m)
		return
	}
	b.prepare(m)
}

// networks makes sure of networks and volumes, once; it gives the step.
func (b *builder) networks(m *move) string {
	id := m.Service + "/prepare"
	if !slices.ContainsFunc(b.plan.Steps, func(s steady.Step) bool { return s.ID == id }) {
		b.add(steady.Step{ID: id, Kind: steady.StepPrepare, Service: m.Service, Release: m.To, Needs: b.imageNeeds(m),
			Stands: len(b.in.Observed.Replicas)+len(b.in.Observed.Holders)+len(b.in.Observed.Stopped) > 0})
	}
	return id
}

// farewell is the hook before an old replica is stopped, as the old release has it;
// it gives what the stop needs.
func (b *builder) farewell(m *move, r steady.Replica, needs []string) []string {
	was := b.in.Serving[m.Service]
	h := was.Spec.Hooks.At(steady.HookStop)
	if h == nil || r.Release == 0 || r.Release != was.Number || !m.releases() {
		return needs
	}
	s := hookStep(m, steady.HookStop, h, needs)
	s.ID += "/" + r.Name
	s.Release, s.Replica, s.Number = r.Release, r.Name, r.Number
	return []string{b.add(s)}
}

// afters lays out the hooks that run once all is done.
func (b *builder) afters() {
	for _, m := range b.moves {
		h := b.hook(m, steady.HookAfter)
		if h == nil || h.On == steady.HookExec && len(m.fresh) == 0 {
			continue
		}
		s := hookStep(m, steady.HookAfter, h, b.all())
		if h.On == steady.HookExec {
			s.Replica = m.fresh[0]
		}
		b.add(s)
	}
	b.whole(steady.HookAfter, b.all())
}

// all are the steps after which all has been done so far.
func (b *builder) all() []string { return b.leaves(b.images()) }

// whole lays out a hook of the project, where a service of it gets another release.
func (b *builder) whole(moment string, needs []string) {
	i := slices.IndexFunc(b.moves, func(m *move) bool { return m.releases() && m.spec().ProjectHooks.At(moment) != nil })
	if i < 0 || b.rehearses() {
		return
	}
	m := b.moves[i]
	h := m.spec().ProjectHooks.At(moment)
	if moment == steady.HookBefore && b.backwards(h) {
		return
	}
	s := hookStep(m, moment, h, needs)
	s.ID, s.Whole = "hook/"+moment, true
	id := b.add(s)
	if moment == steady.HookBefore {
		b.hooks = []string{id}
	}
}

func hookStep(m *move, moment string, h *steady.Hook, needs []string) steady.Step {
	return steady.Step{ID: m.Service + "/hook/" + moment, Kind: steady.StepHook, Service: m.Service, Release: m.To,
		Hook: moment, For: h.Timeout, Needs: needs, Cause: moment + ": " + h.Program() + ", " + placeWords(moment, h.On)}
}

func placeWords(moment, on string) string {
	age := "new"
	if moment == steady.HookStop {
		age = "old"
	}
	switch on {
	case steady.HookHost:
		return "on the host"
	case steady.HookExec:
		return "in the " + age + " replica"
	}
	return "in a container of the " + age + " image"
}
