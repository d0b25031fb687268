package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// gone is why an orphan is one.
const gone = "not in the Compose file any more"

// howToRemove is what a person can do about an orphan.
func howToRemove(service string) string {
	return "steady deploy --remove-orphans, or steady down " + service + ", removes it"
}

// Orphans names the services that run or serve and that the Compose files do not have
// any more, sorted. Where the files are not known there are none.
func Orphans(in Input) []string {
	if len(in.Options.Declared) == 0 {
		return nil
	}
	var out []string
	for _, r := range in.Observed.Replicas {
		out = append(out, r.Service)
	}
	for service := range in.Observed.Holders {
		out = append(out, service)
	}
	for service := range in.Serving {
		out = append(out, service)
	}
	slices.Sort(out)
	known := func(s string) bool { return slices.Contains(in.Options.Declared, s) }
	return slices.DeleteFunc(slices.Compact(out), known)
}

// strays notes the orphans of the project: they go on running unless something is said.
func (b *builder) strays() {
	for _, service := range Orphans(b.in) {
		if b.targeted(service) { // it shares with a service that is replaced, and follows that
			continue
		}
		serving := b.in.Serving[service]
		m := &move{target: serving, old: b.in.Observed.Of(service), ServicePlan: steady.ServicePlan{
			Service: service, Strategy: steady.StrategyKeep, Cause: gone + ": " + howToRemove(service), Notice: nothing,
			From: serving.Number, To: serving.Number, Replicas: serving.Spec.Replicas, Orphan: true}}
		if b.in.Options.RemoveOrphans {
			m.Strategy, m.To, m.Replicas, m.Cause = steady.StrategyRemove, 0, 0, gone+", and --remove-orphans"
		}
		b.orphans = append(b.orphans, m)
	}
}

func (b *builder) orphan(service string) *move {
	i := slices.IndexFunc(b.orphans, func(m *move) bool { return m.Service == service })
	if i < 0 {
		return nil
	}
	return b.orphans[i]
}

// inherits has the move replace what orphans have and it needs for itself: a volume that
// one of them writes to, or a port that a container of Docker Compose's publishes. Two
// writers on one volume there must never be, so such an orphan stops before the new
// replicas start. Without --remove-orphans it is steady.ErrOrphan.
func (b *builder) inherits(m *move) error {
	if m.target.Number == m.From && m.From > 0 {
		return nil
	}
	for _, o := range b.orphans {
		shared := b.contested(m, o)
		for _, c := range o.old {
			port := meeting(m.spec().Ports, c.Published)
			if !c.Running() || shared == "" && len(port) == 0 {
				continue
			}
			if err := b.mayReplace(m, o, c, shared, port); err != nil {
				return err
			}
			switch {
			case c.Release == 0:
				m.old = append(m.old, c)
				o.old = without(o.old, []string{c.Name})
				o.Cause = gone + ": " + m.Service + " takes its place"
			case !slices.Contains(m.replaces, o):
				m.replaces = append(m.replaces, o)
				o.GivesWay = m.Service
				o.Cause = fmt.Sprintf("%s: %s takes its place, and only one of them may write to %s", gone, m.Service, shared)
			}
		}
	}
	return nil
}

// mayReplace says why an orphan's replica cannot make room for a move.
func (b *builder) mayReplace(m, o *move, c steady.Replica, shared string, port []steady.PortRange) error {
	what := ""
	if len(port) > 0 {
		what = fmt.Sprintf("%s publishes port %s, which %s shall have", c.Name, port[0], m.Service)
	}
	if shared != "" {
		what = fmt.Sprintf("%s writes to %s, as %s would, and two of them must never", c.Name, shared, m.Service)
	}
	text := fmt.Sprintf("%s is %s, but its container %s", o.Service, gone, what)
	switch {
	case o.GivesWay != "" && o.GivesWay != m.Service:
		return steady.ErrOrphan.With(fmt.Sprintf("%s is %s, and both %s and %s would write to %s in its place", o.Service, gone, o.GivesWay, m.Service, shared),
			"steady down "+o.Service+", then deploy again")
	case m.spec().Job:
		return steady.ErrOrphan.With(text, "steady down "+o.Service+", then deploy again")
	case b.in.Options.RemoveOrphans:
		return nil
	}
	return steady.ErrOrphan.With(text, fmt.Sprintf("steady deploy --remove-orphans has %s take its place, or steady down %s", m.Service, o.Service))
}

// contested names what an orphan writes to and the move will write to as well, though its
// service did not until now; empty for nothing.
func (b *builder) contested(m, o *move) string {
	spec := m.spec()
	several := spec.Replicas > 1 && (spec.Build != nil || steady.Database(spec.Image) == "")
	if spec.Update.Order == steady.StartFirst || several { // the file has more than one write to it anyway
		return ""
	}
	var out []string
	for _, name := range spec.State {
		mounts := func(c steady.Replica) bool {
			return slices.ContainsFunc(c.Volumes, func(v steady.MountedVolume) bool { return v.Name == name })
		}
		writes := slices.Contains(o.spec().State, name) || o.From == 0 && slices.ContainsFunc(o.old, mounts)
		if writes && !slices.Contains(b.in.Serving[m.Service].Spec.State, name) {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

// settleOrphans completes what is said of the orphans once it is known who takes over
// what.
func (b *builder) settleOrphans() {
	for _, o := range b.orphans {
		heirs := b.heirs[o.Service]
		if len(heirs) > 0 && o.Strategy == steady.StrategyKeep {
			o.Strategy, o.Cause = steady.StrategyHandOver, gone+": it goes on without what others take over; "+howToRemove(o.Service)
		}
		if o.Notice = b.addresses(o); o.Notice == "" {
			o.Notice = nothing
		}
		if o.Strategy == steady.StrategyRemove && o.Notice == nothing {
			o.Notice = "the service is gone"
		}
		b.plan.Services = append(b.plan.Services, o.ServicePlan)
	}
}

// addresses says what becomes of an orphan's ports and routes; empty where they stay.
func (b *builder) addresses(o *move) string {
	now, _ := b.route(o.Service)
	var out []string
	by := map[string][]steady.Port{}
	for _, p := range now.Ports {
		heir := b.heir(o.Service, steady.Route{Ports: []steady.Port{p}})
		by[heir] = append(by[heir], p)
	}
	for _, heir := range slices.Sorted(maps.Keys(by)) {
		for _, p := range steady.Ranges(by[heir]) {
			f := fate{PortRange: p, kind: moves, service: heir}
			if heir == "" {
				f.kind = closes
			}
			if p.Published == 0 || heir == "" && o.Strategy != steady.StrategyRemove {
				continue
			}
			if out = append(out, f.String()); heir == "" {
				o.Closes = append(o.Closes, f.String())
			}
		}
	}
	for _, r := range now.Rules {
		heir := b.heir(o.Service, steady.Route{Rules: []steady.Rule{r}})
		switch {
		case heir != "":
			out = append(out, fmt.Sprintf("%s moves to %s", r.Name(), heir))
		case o.Strategy == steady.StrategyRemove:
			out = append(out, fmt.Sprintf("%s is not routed any more", r.Name()))
		}
	}
	return strings.Join(out, "; ")
}

// heir is the service that takes an address over from another one; empty for none.
func (b *builder) heir(from string, address steady.Route) string {
	for _, m := range b.heirs[from] {
		if left := address.Without(m.claims(b.in.Project)); len(left.Ports)+len(left.Rules) < len(address.Ports)+len(address.Rules) {
			return m.Service
		}
	}
	return ""
}

// retireOrphans takes the orphans down that are to go, once every new release serves and
// every watch is over.
func (b *builder) retireOrphans() {
	b.withdraw("orphans", b.orphansThat(steady.StrategyRemove), b.served)
}

func (b *builder) orphansThat(strategy string) []*move {
	return slices.DeleteFunc(slices.Clone(b.orphans), func(o *move) bool { return o.Strategy != strategy })
}

// withdraw has services leave for good: nobody is led to them any more, and they are
// drained and stopped, those that depend on others before these. It gives the steps after
// which nothing of them runs.
func (b *builder) withdraw(id string, going []*move, needs []string) []string {
	var routes []steady.Route
	for _, r := range b.in.Routes {
		if slices.ContainsFunc(going, func(m *move) bool { return m.Service == r.Service }) {
			routes = append(routes, steady.Route{Project: r.Project, Service: r.Service, Ports: r.Ports, Gone: true})
		}
	}
	if len(routes) > 0 {
		needs = []string{b.add(steady.Step{ID: id, Kind: steady.StepShift, Routes: routes, Needs: needs})}
		b.last = append(b.last, id)
	}
	var all []string
	stopped, specs := map[string][]string{}, specsOf(nil, b.in.Serving)
	for _, m := range dependentsFirst(b.in, going) {
		after := slices.Clone(needs)
		for other, ids := range stopped {
			if slices.Contains(needed(b.in.Serving[other].Spec, specs), m.Service) {
				after = append(after, ids...)
			}
		}
		if m.GivesWay == "" { // else it has stopped already
			stopped[m.Service] = b.retire([]*move{m}, (*move).olds, after)
		}
		all = append(all, stopped[m.Service]...)
	}
	return slices.Concat(needs, all)
}

// forgets removes the containers of services that leave, and then their holders, whose
// names would lead nowhere.
func (b *builder) forgets(going []*move, needs []string) {
	for _, m := range going {
		after := slices.Clone(needs)
		for _, r := range m.old {
			after = append(after, b.add(steady.Step{ID: m.Service + "/remove/" + r.Name, Kind: steady.StepRemove, Service: m.Service,
				Release: r.Release, Replica: r.Name, Needs: needs}))
		}
		b.add(steady.Step{ID: m.Service + "/forget", Kind: steady.StepForget, Service: m.Service, Needs: after})
	}
}
