package plan

import (
	"slices"

	"gesalpai.ch/steady"
)

// Down plans the end of a project: no new request, drain, stop what depends on
// others before what it depends on, remove, and clean up behind it.
func Down(in Input, volumes bool) steady.Plan {
	p := steady.Plan{Project: in.Project, Before: in.Routes}
	b := builder{in: in, plan: &p}
	var gone []steady.Route
	for _, r := range in.Routes {
		gone = append(gone, steady.Route{Project: r.Project, Service: r.Service, Ports: r.Ports, Gone: true})
	}
	var needs, stops []string
	if len(gone) > 0 {
		needs = []string{b.add(steady.Step{ID: "shift", Kind: steady.StepShift, Routes: gone})}
	}
	stopped := map[string][]string{}
	specs := specsOf(nil, in.Serving)
	for _, service := range dependentsFirst(in, specs) {
		m := &move{target: in.Serving[service], ServicePlan: steady.ServicePlan{Service: service, Strategy: steady.StrategyRemove,
			From: in.Serving[service].Number, Cause: "the project goes", Notice: "the service is gone"}}
		p.Services = append(p.Services, m.ServicePlan)
		after := slices.Clone(needs)
		for other, ids := range stopped {
			if slices.Contains(needed(in.Serving[other].Spec, specs), service) {
				after = append(after, ids...)
			}
		}
		stopped[service] = b.retire([]*move{m}, func(m *move) []steady.Replica { return in.Observed.Of(m.Service) }, after)
		stops = append(stops, stopped[service]...)
	}
	var removed []string
	for _, r := range in.Observed.Replicas {
		removed = append(removed, b.add(steady.Step{ID: r.Service + "/remove/" + r.Name, Kind: steady.StepRemove, Service: r.Service,
			Release: r.Release, Replica: r.Name, Needs: append(slices.Clone(needs), stops...)}))
	}
	clean := steady.Step{ID: "clean", Kind: steady.StepClean, Volumes: volumes, Needs: append(removed, needs...)}
	if volumes {
		clean.Mounts = discarded(in)
	}
	b.add(clean)
	b.record()
	return p
}

// dependentsFirst orders the services so that each stands before those it
// depends on.
func dependentsFirst(in Input, specs []steady.Spec) []string {
	var names, out []string
	for _, r := range in.Observed.Replicas {
		names = append(names, r.Service)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	seen := map[string]bool{}
	var visit func(string)
	visit = func(s string) {
		if seen[s] || !slices.Contains(names, s) {
			return
		}
		seen[s] = true
		for _, service := range needed(in.Serving[s].Spec, specs) {
			visit(service)
		}
		out = append(out, s)
	}
	for _, n := range names {
		visit(n)
	}
	slices.Reverse(out)
	return out
}
