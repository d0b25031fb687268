package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// Followers completes targets by the services that serve and share a namespace or
// volumes with one of them, directly or through another: they are replaced together
// with it. Their releases are copies of what serves, with numbers of their own, as
// containers are named after their releases. Those that targets share with come too, as
// what serves.
func Followers(targets []Target, serving map[string]steady.Release) []Target {
	out := slices.Clone(targets)
	specs := specsOf(out, serving)
	at := func(service string) int {
		return slices.IndexFunc(out, func(t Target) bool { return t.Release.Service == service })
	}
	for i := 0; i < len(out); i++ {
		for _, s := range specs {
			if !slices.ContainsFunc(s.Shares(specs), func(sh steady.Shared) bool { return sh.Service == out[i].Release.Service }) {
				continue
			}
			now, serves := serving[s.Service]
			j := at(s.Service)
			switch {
			case j < 0:
				out = append(out, Target{Release: copied(now)})
			case serves && (!out[j].Asked || out[j].Release.Number == now.Number):
				replicas := out[j].Release.Spec.Replicas
				if out[j].Release = copied(now); out[j].Asked {
					out[j].Release.Spec.Replicas = replicas
				}
			}
		}
	}
	for _, t := range out { // as long as what lives in their network is replaced, they are waited at
		for _, sh := range t.Release.Spec.Shares(specs) {
			if now, serves := serving[sh.Service]; serves && sh.Service != "" && at(sh.Service) < 0 {
				out = append(out, Target{Release: now})
			}
		}
	}
	return out
}

// copied is the release to be made again under a number of its own.
func copied(r steady.Release) steady.Release {
	r.Number, r.Rollout, r.Served, r.Done = 0, 0, time.Time{}, time.Time{}
	return r
}

// specsOf are the specs of the project: those of the targets, and of what serves where
// a service is no target.
func specsOf(targets []Target, serving map[string]steady.Release) []steady.Spec {
	var out []steady.Spec
	for _, t := range targets {
		out = append(out, t.Release.Spec)
	}
	var others []string
	for service := range serving {
		if !slices.ContainsFunc(targets, func(t Target) bool { return t.Release.Service == service }) {
			others = append(others, service)
		}
	}
	slices.Sort(others)
	for _, service := range others {
		out = append(out, serving[service].Spec)
	}
	return out
}

// shares are what a service has from others of the project.
func (b *builder) shares(s steady.Spec) []steady.Shared {
	return slices.DeleteFunc(s.Shares(b.specs), func(sh steady.Shared) bool { return sh.Service == "" })
}

// shareable is an error where what the targets share cannot be had: in a circle, or the
// network of a service with several replicas.
func (b *builder) shareable() error {
	for _, t := range b.in.Targets {
		spec := t.Release.Spec
		if way := b.circle(spec, nil); way != nil {
			return steady.ErrCompose.With(fmt.Sprintf("%s share their namespaces or volumes in a circle: none of them can start first", strings.Join(way, ", ")),
				"take network_mode, ipc, pid or volumes_from out of one of them")
		}
		for _, sh := range b.shares(spec) {
			i := slices.IndexFunc(b.specs, func(s steady.Spec) bool { return s.Service == sh.Service })
			if n := b.specs[i].Replicas; sh.Kind == steady.ShareNetwork && n > 1 {
				return steady.ErrUnsupported.With(fmt.Sprintf("%s shares the network of %s, which has %d replicas: only one of them would have %s in its network", spec.Service, sh.Service, n, spec.Service),
					fmt.Sprintf("set deploy.replicas: 1 for %s, or steady scale %s=1", sh.Service, sh.Service))
			}
			if b.move(sh.Service) == nil && !b.targeted(sh.Service) && b.lender(sh) == "" {
				return steady.ErrNoReplica.With(fmt.Sprintf("%s shares the %s of %s, and nothing of %s runs", spec.Service, sh.Kind, sh.Service, sh.Service),
					fmt.Sprintf("steady deploy %s %s", sh.Service, spec.Service))
			}
		}
	}
	return nil
}

func (b *builder) targeted(service string) bool {
	return slices.ContainsFunc(b.in.Targets, func(t Target) bool { return t.Release.Service == service })
}

// circle names the services by which a service shares with itself, or nil.
func (b *builder) circle(s steady.Spec, way []string) []string {
	if i := slices.Index(way, s.Service); i >= 0 {
		return way[i:]
	}
	way = append(slices.Clone(way), s.Service)
	for _, sh := range b.shares(s) {
		i := slices.IndexFunc(b.specs, func(o steady.Spec) bool { return o.Service == sh.Service })
		if c := b.circle(b.specs[i], way); c != nil {
			return c
		}
	}
	return nil
}

// move is a service's part of the plan, nil where nothing is done to it.
func (b *builder) move(service string) *move {
	for _, m := range b.moves {
		if m.Service == service {
			return m
		}
	}
	return nil
}

// renewed says whether the plan gives a service another container, or starts it again:
// what others share with it ends.
func (b *builder) renewed(service string) bool {
	m := b.move(service)
	if m == nil || m.Strategy == steady.StrategyJob || len(m.fresh) == 0 {
		return false
	}
	return m.open || m.Strategy == steady.StrategyScale && !b.alive(m, m.fresh[0])
}

// follows says why a service is replaced although nothing of its own has changed: it
// shares with one that is, or its containers have outlived what they share. Jobs and
// what has run to its end are not run again for it.
func (b *builder) follows(t Target) string {
	spec := t.Release.Spec
	if serving := b.in.Serving[spec.Service]; spec.Job || spec.Once() && !serving.Done.IsZero() {
		return ""
	}
	for _, sh := range b.shares(spec) {
		switch {
		case b.renewed(sh.Service):
			return fmt.Sprintf("it shares %s's %s and is replaced with it", sh.Service, sh.Kind)
		case sh.Kind != steady.ShareVolumes && b.outlived(spec.Service, sh):
			return fmt.Sprintf("the %s of %s that it shares has ended", sh.Kind, sh.Service)
		}
	}
	return ""
}

// outlived says whether a container of a service still has what a container of the
// other had before that was started again, or that of one which is gone.
func (b *builder) outlived(service string, sh steady.Shared) bool {
	host, there := b.in.Observed.Named(b.lender(sh))
	return there && host.Running() && slices.ContainsFunc(b.in.Observed.Of(service), func(c steady.Replica) bool {
		return c.Running() && c.Outlived(sh.Kind, host)
	})
}

// lender names the replica whose namespaces or volumes are shared: the one to come where
// it is made in this plan, else the one that serves.
func (b *builder) lender(sh steady.Shared) string {
	if m := b.move(sh.Service); m != nil && b.renewed(sh.Service) && sh.Number <= len(m.fresh) {
		return m.fresh[sh.Number-1]
	}
	var name string
	for _, c := range b.predecessors(sh.Service) {
		if c.Number == sh.Number && c.Running() && name == "" {
			name = c.Name
		}
	}
	return name
}

// lent are the replicas that a move's containers share with, by the names that the file
// has for them. A job runs before the new replica of one that goes first is there.
func (b *builder) lent(m *move) map[string]string {
	out := map[string]string{}
	for _, sh := range b.shares(m.spec()) {
		name := b.lender(sh)
		if o := b.move(sh.Service); m.spec().Job && o != nil && away(o.Strategy) {
			i := slices.IndexFunc(o.old, func(c steady.Replica) bool { return c.Running() && c.Number == sh.Number })
			name = o.old[max(i, 0)].Name
		}
		if name != "" {
			out[sh.Container] = name
		}
	}
	return out
}
