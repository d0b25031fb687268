package plan

import (
	"fmt"
	"slices"

	"gesalpai.ch/steady"
)

// prepare lays out what no visitor can see: networks, volumes and the first
// batch of new replicas, as far as they may be brought up before the shift.
func (b *builder) prepare(m *move) {
	if m.awake {
		b.rouse(m)
		return
	}
	id := b.networks(m)
	if m.held() && !b.enters(m) {
		b.holder(m, append([]string{id}, b.hooks...))
	}
	if away(m.Strategy) {
		for i, name := range m.fresh {
			b.create(m, name, i+1)
		}
		return
	}
	ready := b.bring(m, 0, m.batch(1), nil)
	if m.Strategy != steady.StrategyStart {
		return
	}
	b.ready[m.Service] = ready
	if m.held() { // those that depend on it call it by name while they start
		b.take([]*move{m}, ready)
		b.ready[m.Service] = []string{m.Service + "/shift"}
	}
}

func (b *builder) holder(m *move, needs []string) string {
	_, runs := b.in.Observed.Holders[m.Service]
	there := runs || slices.Contains(b.in.Observed.Stopped, m.Service)
	return b.add(steady.Step{ID: m.Service + "/holder", Kind: steady.StepHolder, Service: m.Service, Release: m.To, Needs: needs,
		Stands: there})
}

func (b *builder) imageNeeds(m *move) []string {
	switch m.image {
	case "":
		return nil
	case shared:
		return []string{b.built[m.spec().Image] + "/" + steady.StepBuild}
	}
	return []string{m.Service + "/" + m.image}
}

// bring creates, starts, probes and names the new replicas from..to, and gives
// the steps after which all of them are ready.
func (b *builder) bring(m *move, from, to int, needs []string) []string {
	var ready []string
	for i := from; i < to; i++ {
		name := m.fresh[i]
		if b.alive(m, name) {
			if b.lacks(m, name) != "" {
				ready = append(ready, b.join(m, name, slices.Concat(needs, b.prepared(m))))
			}
			continue
		}
		if b.stands(m, name) {
			ready = append(ready, b.start(m, name, slices.Concat(needs, b.prepared(m))))
			continue
		}
		ready = append(ready, b.start(m, name, append(needs, b.create(m, name, i+1, needs...))))
	}
	return ready
}

// alive says whether a replica that the target wants serves already.
func (b *builder) alive(m *move, name string) bool {
	if m.Strategy != steady.StrategyScale {
		return false
	}
	c, ok := b.in.Observed.Named(name)
	r, _ := b.route(m.Service)
	return ok && c.Running() && slices.Contains(r.Replicas, name)
}

// prepared are the steps after which replicas may be created: its holder has the
// service's address and names by then, and hooks have run.
func (b *builder) prepared(m *move) []string {
	if m.held() && !b.enters(m) && m.Strategy != steady.StrategyJob {
		return []string{m.Service + "/holder"}
	}
	return append([]string{m.Service + "/prepare"}, b.hooks...)
}

func (b *builder) create(m *move, name string, n int, needs ...string) string {
	there, _ := b.in.Observed.Named(name)
	return b.add(steady.Step{ID: m.Service + "/create/" + name, Kind: steady.StepCreate, Service: m.Service, Release: m.To,
		Number: n, Replica: name, Mounts: m.mounts[n-1], Shares: b.lent(m), Stands: m.beside() && there.Running(),
		Needs: slices.Concat(needs, b.prepared(m), b.lendsAfter(m, "create"))})
}

// start starts a created replica once its dependencies are there, and waits
// until it is ready and can be found by name.
func (b *builder) start(m *move, name string, needs []string) string {
	id := b.add(steady.Step{ID: m.Service + "/start/" + name, Kind: steady.StepStart, Service: m.Service, Release: m.To,
		Replica: name, Needs: slices.Concat(needs, b.dependencies(m), b.lendsAfter(m, "probe"))})
	return b.ask(m, name, []string{id})
}

// ask waits until a replica that runs is ready and can be found by name.
func (b *builder) ask(m *move, name string, needs []string) string {
	cause := m.spec().Probe.Cause
	if b.asked(m) == steady.AskRunning {
		cause = "those that live in its network may open its ports: it must stay up"
	}
	id := b.add(steady.Step{ID: m.Service + "/probe/" + name, Kind: steady.StepProbe, Service: m.Service, Release: m.To,
		Replica: name, Needs: needs, Cause: cause, Ask: b.asked(m)})
	if len(m.spec().Networks) == 0 || m.held() {
		return id
	}
	return b.join(m, name, []string{id})
}

// join has a replica be in all its networks, with the names that it is to have there.
func (b *builder) join(m *move, name string, needs []string) string {
	return b.add(steady.Step{ID: m.Service + "/alias/" + name, Kind: steady.StepAlias, Service: m.Service, Release: m.To,
		Replica: name, Needs: needs})
}

func (b *builder) dependencies(m *move) []string {
	var needs []string
	for _, d := range m.spec().DependsOn {
		needs = append(needs, b.ready[d.Service]...)
	}
	return needs
}

// job lays out a service that runs once and must exit 0.
func (b *builder) job(m *move) {
	b.networks(m)
	for i, name := range m.fresh {
		id := b.create(m, name, i+1)
		id = b.add(steady.Step{ID: m.Service + "/start/" + name, Kind: steady.StepStart, Service: m.Service, Release: m.To,
			Replica: name, Needs: slices.Concat(b.dependencies(m), b.lendsAfter(m, "probe"), []string{id})})
		id = b.add(steady.Step{ID: m.Service + "/wait/" + name, Kind: steady.StepWait, Service: m.Service, Release: m.To,
			Replica: name, Needs: []string{id}})
		b.ready[m.Service] = append(b.ready[m.Service], id)
	}
}

// barrier is every step after which all that can stand beside the old is ready:
// nothing that a visitor could notice begins before it.
func (b *builder) barrier() []string {
	var ids []string
	for _, s := range b.plan.Steps {
		switch s.Kind {
		case steady.StepPrepare, steady.StepHolder, steady.StepCreate, steady.StepProbe, steady.StepAlias, steady.StepWait, steady.StepHook:
			ids = append(ids, s.ID)
		}
	}
	return b.leaves(ids)
}

// leaves drops the IDs that another of them needs anyway, directly.
func (b *builder) leaves(ids []string) []string {
	needed := map[string]bool{}
	for _, s := range b.plan.Steps {
		for _, n := range s.Needs {
			needed[n] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return needed[id] })
}

// exchange lays out stop-first: away with the old, then the new, and the gap
// between is as short as it can be. What shares is exchanged together: all of the old
// go before any of the new start, and all of the new take traffic at once.
func (b *builder) exchange(m *move, barrier []string) {
	unit := slices.DeleteFunc(b.unit(m), func(o *move) bool { return !away(o.Strategy) })
	stopped, left := b.gone[m.Service]
	if !left {
		stopped = b.leave(unit, append(slices.Clone(barrier), b.dependencies(m)...))
	}
	if b.enters(m) {
		stopped = []string{b.holder(m, stopped)}
	}
	ready := b.startAll(m, stopped)
	if len(unit) == 1 {
		b.take(unit, append(ready, b.asksLender(m)...))
		return
	}
	if unit[len(unit)-1] != m {
		return
	}
	var all []string
	for _, o := range unit {
		all = slices.Concat(all, b.ready[o.Service], b.asksLender(o))
	}
	b.take(unit, all)
}

// leave withdraws and stops all that runs of a unit, and gives the steps after which
// nothing of it does.
func (b *builder) leave(unit []*move, needs []string) []string {
	var routes []steady.Route
	for _, m := range unit {
		routes = append(routes, b.withdrawal(m)...)
	}
	fronts := b.frontsOf(unit)
	if routes = append(routes, b.shutFronts(fronts)...); len(routes) > 0 {
		needs = []string{b.add(steady.Step{ID: unit[0].Service + "/withdraw", Kind: steady.StepShift, Needs: needs,
			Routes: routes, Cause: "the old one must be gone before the new one starts"})}
	}
	needs = b.drainFronts(unit, fronts, needs)
	stopped := b.retire(unit, (*move).olds, needs)
	for _, m := range unit {
		for _, o := range m.replaces {
			stopped = append(stopped, b.retire([]*move{o}, (*move).olds, needs)...)
		}
	}
	if len(stopped) == 0 {
		stopped = needs
	}
	for _, m := range unit {
		b.gone[m.Service] = stopped
	}
	return stopped
}

// withdrawal are the routes with which the old ones take no more traffic: of the service,
// and of orphans whose place it takes.
func (b *builder) withdrawal(m *move) []steady.Route {
	var out []steady.Route
	if _, now := b.route(m.Service); (now || len(m.replaces) > 0) && b.visited(m) {
		out = append(out, b.withdrawn(m))
	}
	for _, o := range m.replaces {
		if r, routed := b.route(o.Service); routed {
			r.Replicas, r.Elders, r.Assets, r.Hold = nil, nil, nil, nil
			out = append(out, r)
		}
	}
	return out
}

func (b *builder) startAll(m *move, needs []string) []string {
	var ready []string
	for _, name := range m.fresh {
		ready = append(ready, b.start(m, name, append(slices.Clone(needs), m.Service+"/create/"+name)))
	}
	b.ready[m.Service] = ready
	return ready
}

// take shifts a unit by itself, mostly one service, at once: somebody is waiting.
func (b *builder) take(unit []*move, needs []string) {
	var routes []steady.Route
	for _, m := range unit {
		routes = append(routes, b.routeTo(m, m.To, m.fresh))
	}
	if away(unit[0].Strategy) {
		fronts := b.frontsOf(unit)
		routes, needs = append(routes, fronts...), b.askFronts(unit, fronts, needs)
	}
	id := b.add(steady.Step{ID: unit[0].Service + "/shift", Kind: steady.StepShift, Needs: needs, Routes: routes})
	b.last = append(b.last, id)
	for _, m := range unit {
		if m.early() && m.heir { // the common shift follows
			continue
		}
		b.watch(m, 1, id)
	}
}

func (b *builder) watch(m *move, stage int, shift string) {
	if d := m.spec().Update.Monitor; d > 0 && m.Strategy != steady.StrategyJob {
		b.last = append(b.last, b.add(steady.Step{ID: fmt.Sprintf("%s/watch/%d", m.Service, stage), Kind: steady.StepWatch,
			Service: m.Service, Release: m.To, For: d, Watch: m.watched(), Needs: []string{shift}}))
	}
}

// visited says whether requests come to the service, old or new: the release to
// come may be called by nobody any more while the old one still answers.
func (b *builder) visited(m *move) bool {
	now, _ := b.route(m.Service)
	return len(now.Ports)+len(now.Rules) > 0 || now.Held || m.routed()
}

// retire drains and stops old replicas of a unit, but for those that are kept warm; it
// gives the stops. Those that share go before those that they share with, and none of
// them before all are drained: what comes to the one may be answered by the other.
func (b *builder) retire(unit []*move, old func(*move) []steady.Replica, needs []string) []string {
	if len(unit) == 1 { // each stops by itself, as it comes free
		var stops []string
		m, going := unit[0], unit[0].leavers(old(unit[0]))
		needs = b.disown(m, going, needs)
		for _, r := range going {
			stops = append(stops, b.halt(m, r, b.drained(m, r, needs)))
		}
		return stops
	}
	var drained, stops []string
	for _, m := range unit {
		going := m.leavers(old(m))
		after := b.disown(m, going, needs)
		for _, r := range going {
			drained = append(drained, b.drained(m, r, after)...)
		}
	}
	for i, m := range slices.Backward(unit) {
		after := slices.Clone(drained)
		for _, o := range unit[i+1:] {
			for _, r := range o.leavers(old(o)) {
				if slices.Contains(o.Shares, m.Service) {
					after = append(after, o.Service+"/stop/"+r.Name)
				}
			}
		}
		for _, r := range m.leavers(old(m)) {
			stops = append(stops, b.halt(m, r, after))
		}
	}
	return stops
}

func (m *move) olds() []steady.Replica { return m.old }

// leavers are those of the old replicas that are to be stopped.
func (m *move) leavers(old []steady.Replica) []steady.Replica {
	return slices.DeleteFunc(slices.Clone(old), func(r steady.Replica) bool { return !r.Running() || m.kept(r) })
}

// drained gives the steps after which nothing is in flight at an old replica.
func (b *builder) drained(m *move, r steady.Replica, needs []string) []string {
	direct := m.beside() && (len(r.Published) > 0 || b.enters(m))
	if (!b.visited(m) || r.Release == 0) && !direct {
		return needs
	}
	return []string{b.add(steady.Step{ID: m.Service + "/drain/" + r.Name, Kind: steady.StepDrain, Service: m.Service,
		Release: r.Release, Replica: r.Name, Direct: direct, Brief: !m.beside() || m.GivesWay != "", Needs: needs})}
}

// halt stops an old replica, behind its hook, and gives the step.
func (b *builder) halt(m *move, r steady.Replica, needs []string) string {
	return b.add(steady.Step{ID: m.Service + "/stop/" + r.Name, Kind: steady.StepStop, Service: m.Service,
		Release: r.Release, Replica: r.Name, Needs: b.farewell(m, r, needs)})
}

func (b *builder) routeTo(m *move, release int, replicas []string) steady.Route {
	r := steady.Route{Project: b.in.Project, Service: m.Service, Release: release, Replicas: replicas, Ports: m.spec().Ports, Rules: m.spec().Routes,
		Held: m.held(), Redirect: m.adopts(), Sticky: m.spec().Sticky, Ingress: m.spec().Entry()}
	if release == m.From && release != m.To {
		if now, ok := b.route(m.Service); ok {
			r.Ports, r.Rules, r.Held, r.Redirect, r.Sticky, r.Ingress = now.Ports, now.Rules, now.Held, now.Redirect, now.Sticky, now.Ingress
		}
	}
	return r
}
