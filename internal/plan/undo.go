package plan

import (
	"slices"

	"gesalpai.ch/steady"
)

// CauseServed is the cause of an undo's shift when the new release may have
// answered somebody.
const CauseServed = "the new release had taken traffic"

// Undo plans the way back from a plan that was left half-way: begun are the IDs
// of its steps that were begun. Traffic goes back first wherever the old
// replicas still run; then the new ones go. It never removes an old replica.
func Undo(p steady.Plan, begun map[string]bool) steady.Plan {
	u := undoer{was: p, begun: begun, plan: steady.Plan{Project: p.Project, Services: p.Services, Before: p.Before}, cleared: map[string][]string{}, revived: map[string][]string{}}
	shifts := u.shifts()
	for _, s := range u.sharersFirst() {
		u.discard(s, shifts[s.Service])
		u.forget(s)
	}
	if len(p.Before) == 0 && u.prepared() { // nothing served before: leave no networks behind
		u.add(steady.Step{ID: "undo/clean", Kind: steady.StepClean, Needs: ids(u.plan.Steps)})
	}
	return u.plan
}

// shifts takes all traffic back for which old replicas still run, or nobody ever
// answered, in one move; and party by party the rest, each as soon as its old
// replicas run again, so that one that cannot come back keeps back no other. It
// gives the steps after which nobody routes to a service's new replicas any more.
func (u *undoer) shifts() map[string][]string {
	out := map[string][]string{}
	shift := func(id, service string, back []steady.Route, needs []string) {
		u.add(steady.Step{ID: id, Kind: steady.StepShift, Service: service, Routes: back, Needs: needs, Cause: u.cause(back)})
		for _, r := range back {
			out[r.Service] = []string{id}
		}
	}
	parties := u.parties()
	var common []steady.Route
	for _, p := range parties {
		if !slices.ContainsFunc(p, u.waits) {
			common = append(common, u.backs(p)...)
		}
	}
	if len(common) > 0 {
		shift("undo/shift", "", common, nil)
	}
	for _, s := range u.sharersFirst() {
		if u.clears(s) {
			u.cleared[s.Service] = u.clear(s)
		}
	}
	for _, s := range u.was.Services { // one stands behind those it shares with
		u.revived[s.Service] = u.revive(s)
	}
	for _, p := range parties {
		back, needs := u.backs(p), u.again(p)
		if len(back) == 0 || len(out[back[0].Service]) > 0 || len(needs) == 0 {
			continue
		}
		service := p[0].Service
		if len(p) > 1 {
			service = ""
		}
		shift("undo/"+p[0].Service+"/shift", service, back, needs)
	}
	return out
}

// again are the steps after which all of a party's old replicas run again, or nothing of
// it does.
func (u *undoer) again(party []steady.ServicePlan) []string {
	var out []string
	for _, s := range party {
		revived := u.revived[s.Service]
		if len(revived) == 0 {
			revived = u.cleared[s.Service]
		}
		out = append(out, revived...)
		for _, o := range u.was.Services {
			if u.sharesWith(o, s.Service) { // what comes to the one may be answered by the other
				out = append(out, u.revived[o.Service]...)
			}
		}
	}
	return out
}

// backs are the routes to which the services of a party go back.
func (u *undoer) backs(party []steady.ServicePlan) []steady.Route {
	var out []steady.Route
	for _, s := range party {
		if r, ok := u.back(s.Service); ok {
			out = append(out, r)
		}
	}
	return out
}

// sharersFirst are the services of the plan, each before those that it shares with.
func (u *undoer) sharersFirst() []steady.ServicePlan {
	out := slices.Clone(u.was.Services)
	if slices.ContainsFunc(out, func(s steady.ServicePlan) bool { return len(s.Shares) > 0 }) {
		slices.Reverse(out)
	}
	return out
}

// sharersStop are the stops of new replicas, laid out already, of services that share
// with one: they go before its own.
func (u *undoer) sharersStop(service string) []string {
	var out []string
	for _, st := range u.plan.Steps {
		s, _ := u.was.Of(st.Service)
		if st.Kind == steady.StepStop && st.Release == s.To && slices.Contains(s.Shares, service) {
			out = append(out, st.ID)
		}
	}
	return out
}

// clears says whether the new replicas of a service must go before old ones that were
// stopped run again: its own, those with which it shares, or those of an orphan whose
// place it takes.
func (u *undoer) clears(s steady.ServicePlan) bool {
	stopped := func(service string) bool { return len(u.steps(steady.StepStop, service)) > 0 }
	rival := func(service string) bool {
		return slices.ContainsFunc(u.was.Services, func(o steady.ServicePlan) bool { return o.GivesWay == service && stopped(o.Service) })
	}
	with := rival(s.Service) || slices.ContainsFunc(u.was.Services, func(o steady.ServicePlan) bool {
		return u.sharesWith(s, o.Service) && (away(o.Strategy) && stopped(o.Service) || rival(o.Service))
	})
	return away(s.Strategy) && (with || stopped(s.Service)) && len(u.steps(steady.StepStart, s.Service)) > 0
}

// waits says whether traffic cannot go back to a service before old replicas run again:
// its own, or those that share with it.
func (u *undoer) waits(s steady.ServicePlan) bool {
	return u.clears(s) || len(u.awaited(s.Service)) > 0 || slices.ContainsFunc(u.was.Services, func(o steady.ServicePlan) bool {
		return u.sharesWith(o, s.Service) && len(u.awaited(o.Service)) > 0
	})
}

// sharesWith says whether a service shares with another, directly or through others.
func (u *undoer) sharesWith(s steady.ServicePlan, service string) bool {
	return slices.ContainsFunc(s.Shares, func(with string) bool {
		o, _ := u.was.Of(with)
		return with == service || u.sharesWith(o, service)
	})
}

type undoer struct {
	was   steady.Plan
	begun map[string]bool
	plan  steady.Plan

	cleared map[string][]string // service → the steps after which no new replica of it runs, where old ones need that
	revived map[string][]string // service → the steps after which its old replicas run again
}

func (u *undoer) add(s steady.Step) string {
	u.plan.Steps = append(u.plan.Steps, s)
	return s.ID
}

// steps lists the begun steps of one kind for one service.
func (u *undoer) steps(kind, service string) []steady.Step {
	var out []steady.Step
	for _, s := range u.was.Steps {
		if s.Kind == kind && s.Service == service && u.begun[s.ID] {
			out = append(out, s)
		}
	}
	return out
}

func (u *undoer) before(service string) (steady.Route, bool) {
	i := slices.IndexFunc(u.was.Before, func(r steady.Route) bool { return r.Service == service })
	if i < 0 {
		return steady.Route{}, false
	}
	r := u.was.Before[i]
	r.Hold = nil // what an earlier rollout left shut is not where an undo goes back to
	r.Elders = slices.DeleteFunc(slices.Clone(r.Elders), func(name string) bool { return u.stopped(service, name) })
	if len(r.Elders) == 0 { // traffic waits for no elder to start again
		r.Elders, r.Assets = nil, nil
	}
	return r, true
}

// stopped says whether an old replica's stop was begun.
func (u *undoer) stopped(service, replica string) bool {
	return slices.ContainsFunc(u.steps(steady.StepStop, service), func(s steady.Step) bool { return s.Replica == replica })
}

// awaited are the begun stops of the old replicas without which traffic cannot go
// back: those that took it. For others, as of a release that was kept warm, it does
// not wait, but where they are all that the new ones made room for.
func (u *undoer) awaited(service string) []steady.Step {
	stops := u.steps(steady.StepStop, service)
	r, _ := u.before(service)
	p, _ := u.was.Of(service)
	took := slices.DeleteFunc(slices.Clone(stops), func(s steady.Step) bool { return !slices.Contains(r.Replicas, s.Replica) })
	if len(took) == 0 && (away(p.Strategy) || r.Redirect || len(r.Replicas) == 0) {
		return stops
	}
	return took
}

// cause says whether a visitor may have seen the new release of one of the services
// that go back.
func (u *undoer) cause(back []steady.Route) string {
	seen := func(r steady.Route) bool {
		return u.replaced(r) && slices.ContainsFunc(back, func(b steady.Route) bool { return b.Service == r.Service })
	}
	for _, s := range u.was.Steps {
		if s.Kind == steady.StepShift && u.begun[s.ID] && slices.ContainsFunc(s.Routes, seen) {
			return CauseServed
		}
	}
	return "the old release had been withdrawn, or there was none"
}

// replaced says whether the route took over from another.
func (u *undoer) replaced(r steady.Route) bool {
	_, was := u.before(r.Service)
	return was && len(r.Replicas) > 0
}

func (u *undoer) prepared() bool {
	return slices.ContainsFunc(u.was.Steps, func(s steady.Step) bool { return s.Kind == steady.StepPrepare && !s.Stands && u.begun[s.ID] })
}

// back is the route to go back to, if one of the service was shifted.
func (u *undoer) back(service string) (steady.Route, bool) {
	for _, s := range u.was.Steps {
		if s.Kind != steady.StepShift || !u.begun[s.ID] {
			continue
		}
		i := slices.IndexFunc(s.Routes, func(r steady.Route) bool { return r.Service == service })
		if i < 0 {
			continue
		}
		if r, ok := u.before(service); ok {
			return r, true
		}
		r := s.Routes[i]
		return steady.Route{Project: r.Project, Service: r.Service, Ports: r.Ports, Gone: true}, true
	}
	return steady.Route{}, false
}

// revive starts the old replicas that were stopped already, after the new ones
// where both must not run at once; it gives the steps that traffic waits for, which
// are those of replicas that take some.
func (u *undoer) revive(s steady.ServicePlan) []string {
	stopped := u.steps(steady.StepStop, s.Service)
	if len(stopped) == 0 {
		return nil
	}
	needs := append(slices.Clone(u.cleared[s.Service]), u.cleared[s.GivesWay]...)
	if u.begun[s.Service+"/bind"] {
		if r, ok := u.back(s.Service); ok { // our listener must free the port first
			r.Replicas = slices.DeleteFunc(slices.Clone(r.Replicas), func(name string) bool { return u.stopped(s.Service, name) })
			needs = append(needs, u.add(steady.Step{ID: "undo/" + s.Service + "/withdraw", Kind: steady.StepShift, Routes: []steady.Route{r}}))
		}
	}
	for _, with := range s.Shares {
		needs = append(needs, u.revived[with]...)
	}
	awaited := u.awaited(s.Service)
	var ready []string
	for _, c := range stopped {
		// A stop that was broken off goes on in the Engine: started before its end,
		// the container would take traffic and then die.
		id := u.add(steady.Step{ID: "undo/" + s.Service + "/halt/" + c.Replica, Kind: steady.StepStop, Service: s.Service,
			Release: c.Release, Replica: c.Replica, Needs: needs, Cause: "its stop may still be under way"})
		id = u.add(steady.Step{ID: "undo/" + s.Service + "/start/" + c.Replica, Kind: steady.StepStart, Service: s.Service,
			Release: c.Release, Replica: c.Replica, Needs: []string{id}, Cause: "it was stopped already"})
		if c.Release > 0 {
			id = u.add(steady.Step{ID: "undo/" + s.Service + "/probe/" + c.Replica, Kind: steady.StepProbe, Service: s.Service,
				Release: c.Release, Replica: c.Replica, Needs: []string{id}, Ask: u.asked(s)})
		}
		if slices.ContainsFunc(awaited, func(a steady.Step) bool { return a.ID == c.ID }) {
			ready = append(ready, id)
		}
	}
	return ready
}

// fronts are the routes of services that stay, and at whose gates visitors of a service
// wait that is replaced: it lives in their network.
func (u *undoer) fronts(s steady.ServicePlan) []steady.Route {
	var out []steady.Route
	for _, o := range u.was.Services {
		r, ok := u.back(o.Service)
		if ok && o.Strategy == steady.StrategyKeep && u.sharesWith(s, o.Service) && u.gate(o.Service) != nil {
			out = append(out, r)
		}
	}
	return out
}

// asked is what an old replica is asked before those run again that live in its network.
func (u *undoer) asked(s steady.ServicePlan) string {
	if s.Lends {
		return steady.AskRunning
	}
	return ""
}

// clear makes room for the old replicas of a service that cannot run twice: no
// more traffic to the new ones, drain, stop.
func (u *undoer) clear(s steady.ServicePlan) []string {
	var withdrawn, stops []string
	var routes []steady.Route
	fronts := u.fronts(s)
	if r, ok := u.away(s.Service); ok {
		if r.Replicas, r.Hold = nil, u.gate(s.Service); r.Hold == nil && len(fronts) > 0 {
			r.Hold = u.gate(fronts[0].Service)
		}
		routes = append(routes, r)
	}
	for _, r := range fronts {
		r.Replicas, r.Hold = nil, u.gate(r.Service)
		routes = append(routes, r)
	}
	if len(routes) > 0 {
		withdrawn = []string{u.add(steady.Step{ID: "undo/" + s.Service + "/withdraw", Kind: steady.StepShift, Routes: routes})}
	}
	var drained []string
	for _, r := range fronts {
		for _, name := range r.Replicas {
			drained = append(drained, u.add(steady.Step{ID: "undo/" + s.Service + "/drain/" + name, Kind: steady.StepDrain,
				Service: r.Service, Release: r.Release, Replica: name, Brief: true, Needs: withdrawn}))
		}
	}
	for _, c := range u.steps(steady.StepStart, s.Service) {
		stops = append(stops, u.add(steady.Step{ID: "undo/" + s.Service + "/stop/" + c.Replica, Kind: steady.StepStop,
			Service: s.Service, Release: c.Release, Replica: c.Replica, Needs: slices.Concat(u.drain(c, withdrawn, true), drained, u.sharersStop(s.Service))}))
	}
	return stops
}

// drain drains one new replica once nobody routes to it; brief where the old one
// waits for it.
func (u *undoer) drain(c steady.Step, withdrawn []string, brief bool) []string {
	if len(withdrawn) == 0 {
		return nil
	}
	return []string{u.add(steady.Step{ID: "undo/" + c.Service + "/drain/" + c.Replica, Kind: steady.StepDrain,
		Service: c.Service, Release: c.Release, Replica: c.Replica, Brief: brief, Needs: withdrawn})}
}

// discard drains, stops and removes the new replicas: once the traffic is back
// where it had been shifted to them, and at once where it had not. One that the
// rollout did not make stays, and runs on where it ran before.
func (u *undoer) discard(s steady.ServicePlan, needs []string) {
	_, shifted := u.back(s.Service)
	for _, c := range u.steps(steady.StepCreate, s.Service) {
		if c.Stands {
			continue
		}
		var after []string
		if shifted {
			after = needs
		}
		stop := "undo/" + s.Service + "/stop/" + c.Replica
		if !slices.ContainsFunc(u.plan.Steps, func(x steady.Step) bool { return x.ID == stop }) {
			if shifted {
				after = u.drain(c, needs, false)
			}
			u.add(steady.Step{ID: stop, Kind: steady.StepStop, Service: s.Service, Release: c.Release, Replica: c.Replica,
				Needs: append(slices.Clone(after), u.sharersStop(s.Service)...), Own: !u.started(c)})
		}
		u.add(steady.Step{ID: "undo/" + s.Service + "/remove/" + c.Replica, Kind: steady.StepRemove, Service: s.Service,
			Release: c.Release, Replica: c.Replica, Needs: append(slices.Clone(after), stop), Own: true})
	}
}

// started says whether the rollout has started the replica that a step was to create.
func (u *undoer) started(c steady.Step) bool {
	return slices.ContainsFunc(u.steps(steady.StepStart, c.Service), func(s steady.Step) bool { return s.Replica == c.Replica })
}

// forget removes the holder of a service that was not there before.
//
// It goes as soon as nothing is in flight through it: until then its names lead
// some callers to where nobody listens any more.
func (u *undoer) forget(s steady.ServicePlan) {
	made := slices.DeleteFunc(u.steps(steady.StepHolder, s.Service), func(h steady.Step) bool { return h.Stands })
	if r, _ := u.before(s.Service); r.Held || len(made) == 0 {
		return
	}
	var needs []string
	for _, st := range u.plan.Steps {
		if st.Kind == steady.StepShift || st.Kind == steady.StepDrain && st.Service == s.Service {
			needs = append(needs, st.ID)
		}
	}
	u.add(steady.Step{ID: "undo/" + s.Service + "/forget", Kind: steady.StepForget, Service: s.Service, Needs: needs})
}

func ids(steps []steady.Step) []string {
	var out []string
	for _, s := range steps {
		out = append(out, s.ID)
	}
	return out
}
