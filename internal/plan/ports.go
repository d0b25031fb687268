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
	for _, p := range was.Ports {
		if text, closed := b.became(m, p); closed {
			m.Closes = append(m.Closes, text)
			out = append(out, text)
		} else if text != "" {
			out = append(out, text)
		}
	}
	for _, p := range m.spec().Ports {
		if p.Published > 0 && !slices.ContainsFunc(was.Ports, func(q steady.Port) bool { return sameDoor(p, q) }) && len(was.Ports) > 0 {
			out = append(out, fmt.Sprintf("port %s opens", door(p)))
		}
	}
	for _, r := range was.Routes {
		if !slices.ContainsFunc(m.spec().Routes, func(q steady.Rule) bool { return q.Host == r.Host && q.Path == r.Path }) && !b.routedElsewhere(m, r) {
			out = append(out, fmt.Sprintf("%s is not routed to it any more", r.Name()))
		}
	}
	return strings.Join(out, "; ")
}

// became says what becomes of a port that the service had, and whether visitors find
// it closed; nothing where it stays.
func (b *builder) became(m *move, p steady.Port) (text string, closed bool) {
	if p.Published == 0 {
		return "", false
	}
	for _, q := range m.spec().Ports {
		if sameDoor(p, q) {
			if q.Target != p.Target {
				return fmt.Sprintf("port %s leads to %d in the container, was %d", door(p), q.Target, p.Target), false
			}
			return "", false
		}
	}
	for _, t := range b.in.Targets {
		if t.Release.Service != m.Service && slices.ContainsFunc(t.Release.Spec.Ports, func(q steady.Port) bool { return sameDoor(p, q) }) {
			return fmt.Sprintf("port %s moves to %s", door(p), t.Release.Service), false
		}
	}
	for _, q := range m.spec().Ports {
		if q.Published == p.Published && q.Transport == p.Transport {
			return fmt.Sprintf("port %s closes but for %s: visitors at other addresses get connection refused", door(p), door(q)), true
		}
	}
	return fmt.Sprintf("port %s closes: visitors get connection refused", door(p)), true
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

// door is where visitors come to: "8080", "127.0.0.1:8080", "53/udp".
func door(p steady.Port) string {
	text := fmt.Sprint(p.Published)
	if p.HostIP != "" {
		text = p.HostIP + ":" + text
	}
	if p.Transport == "udp" {
		text += "/udp"
	}
	return text
}
