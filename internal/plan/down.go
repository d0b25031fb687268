package plan

import (
	"slices"

	"gesalpai.ch/steady"
)

// Down plans the end of a project, or of those of its services that Options.Services
// names: no new request, drain, stop what depends on others before what it depends on,
// remove, and clean up behind it. Networks go with the last service.
func Down(in Input, volumes bool) steady.Plan {
	p := steady.Plan{Project: in.Project, Before: in.Routes}
	b := builder{in: in, plan: &p}
	whole, cause := len(in.Options.Services) == 0, "the project goes"
	if !whole {
		cause = "it was named"
	}
	var going []*move
	for _, service := range standing(in) {
		if !whole && !slices.Contains(in.Options.Services, service) {
			continue
		}
		going = append(going, &move{target: in.Serving[service], old: in.Observed.Of(service), ServicePlan: steady.ServicePlan{
			Service: service, Strategy: steady.StrategyRemove, From: in.Serving[service].Number, Cause: cause, Notice: "the service is gone"}})
	}
	for _, m := range dependentsFirst(in, going) {
		p.Services = append(p.Services, m.ServicePlan)
	}
	needs := b.withdraw("shift", going, nil)
	if !whole {
		b.forgets(going, needs)
		b.discards(going, volumes)
		b.record()
		return p
	}
	var removed []string
	for _, r := range in.Observed.Replicas {
		removed = append(removed, b.add(steady.Step{ID: r.Service + "/remove/" + r.Name, Kind: steady.StepRemove, Service: r.Service,
			Release: r.Release, Replica: r.Name, Needs: needs}))
	}
	clean := steady.Step{ID: "clean", Kind: steady.StepClean, Volumes: volumes, Needs: append(removed, b.last...)}
	if volumes {
		clean.Mounts = discarded(in)
	}
	b.add(clean)
	b.record()
	return p
}

// standing names the services of which anything is there, sorted.
func standing(in Input) []string {
	var out []string
	for _, r := range in.Observed.Replicas {
		out = append(out, r.Service)
	}
	for _, r := range in.Routes {
		out = append(out, r.Service)
	}
	for service := range in.Observed.Holders {
		out = append(out, service)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// discards removes the volumes that only the services which go have: anonymous ones, and
// named ones that steady made and no other service of the project mounts. Those that are
// in use elsewhere stay.
func (b *builder) discards(going []*move, volumes bool) {
	if !volumes {
		return
	}
	goes := func(service string) bool {
		return slices.ContainsFunc(going, func(m *move) bool { return m.Service == service })
	}
	used := map[string]bool{}
	for service, r := range b.in.Serving {
		for _, v := range r.Spec.Volumes {
			used[v.Name] = used[v.Name] || !goes(service)
		}
	}
	for _, m := range going {
		step := steady.Step{ID: m.Service + "/clean", Kind: steady.StepClean, Service: m.Service, Volumes: true, Needs: []string{m.Service + "/forget"}}
		for _, v := range discarded(b.in) {
			if v.Service == m.Service {
				step.Mounts = append(step.Mounts, v)
			}
		}
		for _, v := range m.spec().Volumes {
			if !v.External && !used[v.Name] {
				step.Mounts = append(step.Mounts, steady.AnonymousVolume{Service: m.Service, Name: v.Name})
			}
		}
		b.add(step)
	}
}

// dependentsFirst orders services so that each stands before those it depends on.
func dependentsFirst(in Input, all []*move) []*move {
	var out []*move
	seen := map[string]bool{}
	var visit func(string)
	visit = func(s string) {
		i := slices.IndexFunc(all, func(m *move) bool { return m.Service == s })
		if seen[s] || i < 0 {
			return
		}
		seen[s] = true
		for _, service := range needed(in.Serving[s].Spec, specsOf(nil, in.Serving)) {
			visit(service)
		}
		out = append(out, all[i])
	}
	for _, m := range all {
		visit(m.Service)
	}
	slices.Reverse(out)
	return out
}
