package plan

import (
	"fmt"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// unit are the moves that must be one, in the plan's order: those which are replaced
// and share with each other, m among them.
func (b *builder) unit(m *move) []*move {
	in := map[string]bool{m.Service: true}
	for grown := m.open && !m.spec().Job; grown; {
		grown = false
		for _, o := range b.moves {
			if !in[o.Service] && o.open && !o.spec().Job && b.tied(o, in) {
				in[o.Service], grown = true, true
			}
		}
	}
	out := slices.DeleteFunc(slices.Clone(b.moves), func(o *move) bool { return !in[o.Service] })
	if len(out) == 0 {
		return []*move{m}
	}
	return out
}

// tied says whether a move shares with one of those named, or one of them with it.
func (b *builder) tied(m *move, names map[string]bool) bool {
	if slices.ContainsFunc(m.Shares, func(s string) bool { return names[s] }) {
		return true
	}
	return slices.ContainsFunc(b.moves, func(o *move) bool { return names[o.Service] && slices.Contains(o.Shares, m.Service) })
}

// noteShares notes with whom the service shares, or did so far, and whether others live
// in its network.
func (b *builder) noteShares(m *move) {
	for _, sh := range slices.Concat(b.shares(m.spec()), b.shares(b.in.Serving[m.Service].Spec)) {
		if !slices.Contains(m.Shares, sh.Service) {
			m.Shares = append(m.Shares, sh.Service)
		}
	}
	m.Lends = len(b.lodgers(m.Service)) > 0
}

// lodgers are the services that live in the network of another, directly or in that of
// one that does.
func (b *builder) lodgers(service string) []string {
	var out []string
	for _, s := range b.specs {
		for _, sh := range b.shares(s) {
			if sh.Kind == steady.ShareNetwork && (sh.Service == service || slices.Contains(out, sh.Service)) && !slices.Contains(out, s.Service) {
				out = append(out, s.Service)
			}
		}
	}
	return out
}

// together says why a move's unit goes before the new one comes, or nothing: where it
// is alone, or all of it can stand beside the old.
func (b *builder) together(m *move) string {
	unit := b.unit(m)
	i := slices.IndexFunc(unit, func(o *move) bool { return b.solo(o) != "" })
	if len(unit) < 2 || i < 0 {
		return ""
	}
	reason := b.solo(m)
	if reason == "" {
		reason = unit[i].Service + ": " + b.solo(unit[i])
	}
	if m.why != "" {
		return m.why + "; " + reason
	}
	var with []string
	for _, o := range unit {
		if slices.Contains(o.Shares, m.Service) || slices.Contains(m.Shares, o.Service) {
			with = append(with, o.Service)
		}
	}
	return reason + "; " + strings.Join(with, ", ") + " is replaced with it, as they share"
}

// awaits says whether nothing of a move runs, and it shares with one that goes before
// its new one comes: it cannot start earlier.
func (b *builder) awaits(m *move) bool {
	return b.together(m) != "" && slices.ContainsFunc(b.unit(m), func(o *move) bool {
		return slices.Contains(m.Shares, o.Service) && (o.runs() || len(o.replaces) > 0 || b.awaits(o))
	})
}

// borrowed says why what a move shares keeps its new replicas from running beside the
// old, or nothing.
func (b *builder) borrowed(m *move) string {
	spec := m.spec()
	for _, sh := range spec.Shares(b.specs) {
		switch {
		case sh.Kind == steady.ShareNetwork && spec.Update.Order == steady.StartFirst:
		case sh.Kind == steady.ShareNetwork && sh.Service == "":
			return fmt.Sprintf("it lives in the network of container %s, which is not this project's", sh.Container)
		case sh.Kind == steady.ShareNetwork && !b.renewed(sh.Service):
			return fmt.Sprintf("it lives in the network of %s, which stays", sh.Service)
		case sh.Kind == steady.ShareVolumes && !sh.ReadOnly && spec.Replicas <= 1 && len(b.anonymousIn(sh)) > 0:
			return fmt.Sprintf("one replica writes to the anonymous volume %s of %s", strings.Join(b.anonymousIn(sh), ", "), sh.Service)
		}
	}
	return ""
}

// anonymousIn are the paths of the anonymous volumes that are shared.
func (b *builder) anonymousIn(sh steady.Shared) []string {
	if m := b.move(sh.Service); m != nil {
		return b.anonymous(m)
	}
	var out []string
	c, _ := b.in.Observed.Named(b.lender(sh))
	for _, v := range c.Volumes {
		if v.Anonymous {
			out = append(out, v.Path)
		}
	}
	return out
}

// asked is what a replica that has just been started is asked, where others are to live
// in its network: its ports may be theirs to open.
func (b *builder) asked(m *move) string {
	if !m.Lends {
		return ""
	}
	p := m.spec().Probe
	published := slices.ContainsFunc(steady.Ways(m.spec().Ports, m.spec().Routes), func(w steady.Way) bool { return w.Target == p.Port })
	healthy := slices.ContainsFunc(b.specs, func(s steady.Spec) bool {
		return slices.ContainsFunc(s.DependsOn, func(d steady.Dependency) bool {
			return d.Service == m.Service && d.Condition == "service_healthy" && slices.Contains(b.lodgers(m.Service), s.Service)
		})
	})
	if (p.Kind == steady.ProbeHTTP || p.Kind == steady.ProbeTCP) && published && !healthy {
		return steady.AskRunning
	}
	return steady.AskProbe
}

// asksLenders has replicas in whose network others live asked for their ports once
// those run, but for those that go first.
func (b *builder) asksLenders() {
	for _, m := range b.moves {
		if !away(m.Strategy) {
			b.asksLender(m)
		}
	}
}

// asksLender gives the steps after which the ports of a service's new replicas accept,
// where others live in their network.
func (b *builder) asksLender(m *move) []string {
	if !m.Lends || m.Strategy == steady.StrategyJob {
		return nil
	}
	var out []string
	for _, name := range m.fresh {
		probe := m.Service + "/probe/" + name
		if !b.has(probe) {
			continue
		}
		needs := []string{probe}
		for _, s := range b.plan.Steps {
			if s.Kind == steady.StepProbe && slices.Contains(b.lodgers(m.Service), s.Service) {
				needs = append(needs, s.ID)
			}
		}
		out = append(out, b.add(steady.Step{ID: m.Service + "/reach/" + name, Kind: steady.StepProbe, Service: m.Service, Release: m.To, Replica: name,
			Needs: needs, Cause: "those that live in its network run"}))
	}
	return out
}

func (b *builder) has(id string) bool {
	return slices.ContainsFunc(b.plan.Steps, func(s steady.Step) bool { return s.ID == id })
}

// lendsAfter gives the steps after which the replicas are there, or run, that a move's
// containers share with: kind is create or probe.
func (b *builder) lendsAfter(m *move, kind string) []string {
	var out []string
	for _, sh := range b.shares(m.spec()) {
		if id := sh.Service + "/" + kind + "/" + b.lender(sh); b.has(id) {
			out = append(out, id)
		}
	}
	return out
}
