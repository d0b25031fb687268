package daemon

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
)

// tabled is what a table says of one service, from which its route can be made again.
type tabled struct {
	project, service string

	route     steady.Route // without release and replicas
	upstreams []steady.Upstream
	trial     int  // release that a canary tries out; 0: none
	gated     bool // its gate is shut: a rollout was replacing it
}

// tabledServices reads all services out of a table, by project and service.
func tabledServices(t steady.Table) []*tabled {
	var out []*tabled
	by := func(pool string) *tabled {
		project, service, _, ok := poolOf(pool)
		if !ok {
			return nil
		}
		i := slices.IndexFunc(out, func(s *tabled) bool { return s.project == project && s.service == service })
		if i < 0 {
			out = append(out, &tabled{project: project, service: service, route: steady.Route{Project: project, Service: service}})
			i = len(out) - 1
		}
		return out[i]
	}
	for _, p := range t.Pools {
		if s := by(p.Name); s != nil {
			s.pool(p)
		}
	}
	for _, l := range t.Listeners {
		switch {
		case l.Holder != "":
			for _, pool := range l.Arrivals {
				if s := by(pool); s != nil {
					s.route.Held = true
				}
			}
		case len(l.Rules) > 0:
			for _, m := range l.Rules {
				if s := by(m.Pool); s != nil {
					s.route.Rules = append(s.route.Rules, tabledRule(t, l, m))
				}
			}
		default:
			if s := by(l.Pool); s != nil {
				s.port(l)
			}
		}
	}
	for _, l := range t.UDP {
		if s := by(l.Pool); s != nil {
			s.port(l)
		}
	}
	slices.SortFunc(out, func(a, b *tabled) int {
		return cmp.Or(cmp.Compare(a.project, b.project), cmp.Compare(a.service, b.service))
	})
	return out
}

// poolOf takes a pool's name apart. The target is 0 for an inner pool.
func poolOf(name string) (project, service string, target uint16, ok bool) {
	project, rest, ok := strings.Cut(name, "/")
	i := strings.IndexAny(rest, ":@")
	if !ok || i < 1 {
		return "", "", 0, false
	}
	if rest[i] == ':' {
		n, err := strconv.ParseUint(rest[i+1:], 10, 16)
		if err != nil {
			return "", "", 0, false
		}
		target = uint16(n)
	}
	return project, rest[:i], target, true
}

func (s *tabled) pool(p steady.Pool) {
	for _, u := range p.Upstreams {
		if !slices.ContainsFunc(s.upstreams, func(o steady.Upstream) bool { return o.ID == u.ID }) {
			s.upstreams = append(s.upstreams, u)
		}
	}
	for _, u := range p.Elders {
		if !slices.Contains(s.route.Elders, u.Name) {
			s.route.Elders = append(s.route.Elders, u.Name)
		}
	}
	if len(p.Assets) > 0 {
		s.route.Assets = p.Assets
	}
	if p.Sticky != nil {
		s.route.Sticky = p.Sticky
	}
	if p.Ingress != nil {
		s.route.Ingress = p.Ingress
	}
	if p.Split != nil {
		s.trial = p.Split.Release
	}
	s.gated = s.gated || p.Hold != nil
}

func (s *tabled) port(l steady.Listener) {
	_, _, target, _ := poolOf(l.Pool)
	p := steady.Port{HostIP: l.Host, Published: l.Port, Target: target, Transport: "tcp", Protocol: l.Protocol}
	if l.Protocol == steady.UDP {
		p.Transport, p.Protocol = steady.UDP, steady.TCP // as the files have it
	}
	if l.Port == 0 && p.Transport != steady.UDP && slices.ContainsFunc(s.route.Ports, func(o steady.Port) bool { return o.Target == target }) {
		return // where a published port is redirected to for some seconds more
	}
	s.route.Ports = append(s.route.Ports, p)
}

// tabledRule is the rule that a listener's match was made from.
func tabledRule(t steady.Table, l steady.Listener, m steady.Match) steady.Rule {
	_, _, target, _ := poolOf(m.Pool)
	r := steady.Rule{Host: m.Host, Path: m.Path, Port: target, Protocol: cmp.Or(m.Protocol, steady.HTTP), HTTP: l.Addr()}
	i := slices.IndexFunc(t.Certificates, func(c steady.Certificate) bool { return c.Host == m.Host })
	if l.TLS && i >= 0 {
		r.HTTP, r.HTTPS, r.TLS = t.Certificates[i].HTTP, l.Addr(), t.Certificates[i].TLS
	}
	return r
}

// adopting makes the ports those that a container which is not ours publishes
// itself, where the listener is only what they are redirected to.
func (s *tabled) adopting(seen []steady.Replica) {
	for i, p := range s.route.Ports {
		for _, c := range seen {
			j := slices.IndexFunc(c.Published, func(q steady.Port) bool { return q.Target == p.Target && q.Transport == "tcp" })
			if p.Published == 0 && c.Release == 0 && c.Running() && j >= 0 {
				s.route.Redirect = true
				s.route.Ports[i].HostIP, s.route.Ports[i].Published = c.Published[j].HostIP, c.Published[j].Published
			}
		}
	}
}
