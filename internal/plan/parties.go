package plan

import (
	"slices"

	"gesalpai.ch/steady"
)

// parties are the services that must go back together: in one shift, when the old replicas
// of all of them run again. Most are by themselves. Those of which one has taken an
// address over from the other are not, or the address would be nobody's, or two
// services', for a while.
func (u *undoer) parties() [][]steady.ServicePlan {
	var out [][]steady.ServicePlan
	for _, s := range u.was.Services {
		party := []steady.ServicePlan{s}
		var others [][]steady.ServicePlan
		for _, p := range out {
			if slices.ContainsFunc(p, func(o steady.ServicePlan) bool { return u.bound(s, o) || u.bound(o, s) }) {
				party = append(slices.Clone(p), party...)
			} else {
				others = append(others, p)
			}
		}
		out = append(others, party)
	}
	return out
}

// bound says whether the heir has something that the other service had before.
func (u *undoer) bound(heir, other steady.ServicePlan) bool {
	if other.GivesWay == heir.Service {
		return true
	}
	had, was := u.before(other.Service)
	has, is := u.inForce(heir.Service)
	if !was || !is {
		return false
	}
	left := had.Without(has)
	return len(left.Ports)+len(left.Rules) < len(had.Ports)+len(had.Rules)
}

// inForce is the route that the last shift of a service which was begun has put in force.
func (u *undoer) inForce(service string) (steady.Route, bool) {
	var out steady.Route
	var found bool
	for _, s := range u.was.Steps {
		if s.Kind != steady.StepShift || !u.begun[s.ID] {
			continue
		}
		for _, r := range s.Routes {
			if r.Service == service && !r.Gone {
				out, found = r, true
			}
		}
	}
	return out, found
}

// away is the route of a service while its new replicas make room for old ones: as it was
// before, or with the addresses that it has now, which go back together with the rest.
func (u *undoer) away(service string) (steady.Route, bool) {
	r, ok := u.back(service)
	if p, planned := u.was.Of(service); planned {
		bound := func(o steady.ServicePlan) bool { return o.Service != service && (u.bound(p, o) || u.bound(o, p)) }
		if is, any := u.inForce(service); any && slices.ContainsFunc(u.was.Services, bound) {
			return is, true
		}
	}
	return r, ok
}
