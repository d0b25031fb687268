package plan

import (
	"fmt"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// reach says what visitors notice of addresses that close, open or move, address by
// address. Nothing where they stay.
func (b *builder) reach(m *move) string {
	now, routed := b.route(m.Service)
	if !routed && m.From == 0 {
		return ""
	}
	was := b.in.Serving[m.Service].Spec
	if routed {
		was.Ports, was.Routes = now.Ports, now.Rules
	}
	var out []string
	for _, f := range b.fates(m, was.Ports) {
		if f.kind == closes || f.kind == narrows {
			m.Closes = append(m.Closes, f.String())
		}
		out = append(out, f.String())
	}
	opens := slices.DeleteFunc(slices.Clone(m.spec().Ports), func(p steady.Port) bool {
		return p.Published == 0 || len(was.Ports) == 0 || slices.ContainsFunc(was.Ports, func(q steady.Port) bool { return sameDoor(p, q) })
	})
	for _, p := range steady.Ranges(opens) {
		out = append(out, fmt.Sprintf("port %s opens", p))
	}
	for _, r := range was.Routes {
		if !slices.ContainsFunc(m.spec().Routes, func(q steady.Rule) bool { return q.Host == r.Host && q.Path == r.Path }) && !b.routedElsewhere(m, r) {
			out = append(out, fmt.Sprintf("%s is not routed to it any more", r.Name()))
		}
	}
	return strings.Join(out, "; ")
}

// What becomes of a port that the service had.
const (
	stays   = iota
	leads   // to another port in the container
	moves   // to another service
	narrows // to one address
	closes
)

// fate is what becomes of published ports: of one, or of a row of them.
type fate struct {
	steady.PortRange
	kind    int
	to      steady.PortRange // of leads and narrows
	service string           // of moves
}

func (f fate) String() string {
	switch f.kind {
	case leads:
		return fmt.Sprintf("port %s leads to %s in the container, was %s", f.PortRange, f.to.Targets(), f.Targets())
	case moves:
		return fmt.Sprintf("port %s moves to %s", f.PortRange, f.service)
	case narrows:
		return fmt.Sprintf("port %s closes but for %s: visitors at other addresses get %s", f.PortRange, f.to, f.nothing())
	}
	return fmt.Sprintf("port %s closes: visitors get %s", f.PortRange, f.nothing())
}

// nothing is what visitors get where nobody listens.
func (f fate) nothing() string {
	if f.Transport == steady.UDP {
		return "no answer"
	}
	return "connection refused"
}

// fates are what becomes of the ports that do not stay as they are. Those of a range to
// which the same happens are one.
func (b *builder) fates(m *move, ports []steady.Port) []fate {
	var out []fate
	for _, p := range ports {
		f := b.fate(m, p)
		if f.kind == stays {
			continue
		}
		if n := len(out); n > 0 && out[n-1].kind == f.kind && out[n-1].service == f.service && out[n-1].Precedes(p) &&
			(f.service != "" || f.kind == closes || out[n-1].to.Precedes(f.to.Port)) {
			out[n-1].More++
			out[n-1].to.More++
			continue
		}
		out = append(out, f)
	}
	return out
}

// fate is what becomes of one port.
func (b *builder) fate(m *move, p steady.Port) fate {
	f := fate{PortRange: steady.PortRange{Port: p}}
	if p.Published == 0 {
		return f
	}
	for _, q := range m.spec().Ports {
		if sameDoor(p, q) {
			if f.to.Port = q; q.Target != p.Target {
				f.kind = leads
			}
			return f
		}
	}
	for _, t := range b.in.Targets {
		if t.Release.Service != m.Service && slices.ContainsFunc(t.Release.Spec.Ports, func(q steady.Port) bool { return sameDoor(p, q) }) {
			f.kind, f.service = moves, t.Release.Service
			return f
		}
	}
	f.kind = closes
	for _, q := range m.spec().Ports {
		if q.Published == p.Published && q.Transport == p.Transport {
			f.kind, f.to.Port = narrows, q
		}
	}
	return f
}

// routedElsewhere says whether another service of the deploy takes a host and path
// over.
func (b *builder) routedElsewhere(m *move, r steady.Rule) bool {
	return slices.ContainsFunc(b.in.Targets, func(t Target) bool {
		return t.Release.Service != m.Service && slices.ContainsFunc(t.Release.Spec.Routes, func(q steady.Rule) bool { return q.Host == r.Host && q.Path == r.Path })
	})
}

// sameDoor says whether two published ports are one address of the host.
func sameDoor(p, q steady.Port) bool {
	return p.HostIP == q.HostIP && p.Published == q.Published && p.Transport == q.Transport
}
