package daemon

import (
	"cmp"
	"maps"
	"slices"

	"gesalpai.ch/steady"
)

// hosted are the listeners that all routes with rules share, by address: what is
// plain at the plain one, what has TLS at the other, and at the plain one where
// to go instead.
func hosted(routes []steady.Route) []steady.Listener {
	by := map[string]*steady.Listener{}
	at := func(addr string) *steady.Listener {
		if by[addr] == nil {
			host, port, _ := steady.HostPort(addr)
			by[addr] = &steady.Listener{Host: host, Port: port, Protocol: steady.HTTP}
		}
		return by[addr]
	}
	for _, route := range routes {
		for _, r := range route.Rules {
			m := steady.Match{Host: r.Host, Path: r.Path, Pool: steady.PoolName(route.Project, route.Service, r.Port)}
			if r.Protocol == steady.H2C {
				m.Protocol = steady.H2C
			}
			if r.Plain() {
				l := at(r.HTTP)
				l.Rules = append(l.Rules, m)
				continue
			}
			l := at(r.HTTPS)
			l.Rules, l.TLS = append(l.Rules, m), true
			l = at(r.HTTP)
			l.Rules = append(l.Rules, steady.Match{Host: r.Host, Path: r.Path, Redirect: by[r.HTTPS].Port})
		}
	}
	var out []steady.Listener
	for _, addr := range slices.Sorted(maps.Keys(by)) {
		slices.SortFunc(by[addr].Rules, steady.Closer)
		out = append(out, *by[addr])
	}
	return out
}

// certificates are those that the hosts of all routes need, one a host.
func certificates(routes []steady.Route) []steady.Certificate {
	var out []steady.Certificate
	for _, route := range routes {
		for _, r := range route.Rules {
			if !r.Plain() {
				out = append(out, steady.Certificate{Host: r.Host, HTTP: r.HTTP, HTTPS: r.HTTPS, TLS: r.TLS})
			}
		}
	}
	slices.SortFunc(out, func(a, b steady.Certificate) int { return cmp.Compare(a.Host, b.Host) })
	return slices.CompactFunc(out, func(a, b steady.Certificate) bool { return a.Host == b.Host })
}
