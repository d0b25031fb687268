package daemon

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// hosted are the listeners that all routes with rules share, by address: what is
// plain at the plain one, what has TLS at the other, and at the plain one where
// to go instead. While a rollout moves a host from one service to another both
// have it for a moment: the newer release is who gets what comes.
func hosted(routes []steady.Route) []steady.Listener {
	by := map[string]*steady.Listener{}
	put := func(addr string, m steady.Match, tls bool) {
		l := by[addr]
		if l == nil {
			host, port, _ := steady.HostPort(addr)
			l = &steady.Listener{Host: host, Port: port, Protocol: steady.HTTP}
			by[addr] = l
		}
		l.TLS = l.TLS || tls
		if !slices.ContainsFunc(l.Rules, func(o steady.Match) bool { return o.Host == m.Host && o.Path == m.Path }) {
			l.Rules = append(l.Rules, m)
		}
	}
	for _, route := range newest(routes) {
		for _, r := range route.Rules {
			m := steady.Match{Host: r.Host, Path: r.Path, Pool: steady.PoolName(route.Project, route.Service, r.Port)}
			if r.Protocol == steady.H2C {
				m.Protocol = steady.H2C
			}
			if r.Plain() {
				put(r.HTTP, m, false)
				continue
			}
			put(r.HTTPS, m, true)
			_, port, _ := steady.HostPort(r.HTTPS)
			put(r.HTTP, steady.Match{Host: r.Host, Path: r.Path, Redirect: port}, false)
		}
	}
	var out []steady.Listener
	for _, addr := range slices.Sorted(maps.Keys(by)) {
		slices.SortFunc(by[addr].Rules, steady.Closer)
		out = append(out, *by[addr])
	}
	return out
}

// newest are the routes, the newest release first.
func newest(routes []steady.Route) []steady.Route {
	return slices.SortedStableFunc(slices.Values(routes), func(a, b steady.Route) int { return cmp.Compare(b.Release, a.Release) })
}

// certificates are those that the hosts of all routes need, one a host.
func certificates(routes []steady.Route) []steady.Certificate {
	var out []steady.Certificate
	for _, route := range newest(routes) {
		for _, r := range route.Rules {
			if !r.Plain() {
				out = append(out, steady.Certificate{Host: r.Host, HTTP: r.HTTP, HTTPS: r.HTTPS, TLS: r.TLS})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b steady.Certificate) int { return cmp.Compare(a.Host, b.Host) })
	return slices.CompactFunc(out, func(a, b steady.Certificate) bool { return a.Host == b.Host })
}

// fitting says what speaks against putting routes in force for their rules' sake:
// a host and path that is another's, of any project, or a file of a certificate
// that cannot be used. Nothing has been touched.
func fitting(all, routes []steady.Route) error {
	after := all
	for _, route := range routes { // of several for one service, the last counts
		after = merge(after, []steady.Route{route})
	}
	if taken := steady.Clash(after); taken != nil {
		return taken
	}
	for _, route := range routes {
		for _, r := range route.Rules {
			if err := usable(r); err != nil {
				refused := steady.ErrCertificate.With(fmt.Sprintf("%s of %s/%s: %v", r.Name(), route.Project, route.Service, err),
					"mend what x-steady.tls names; nothing has been changed")
				refused.Service = route.Service
				return refused
			}
		}
	}
	return nil
}

// usable looks at the files that a rule's certificate needs.
func usable(r steady.Rule) error {
	switch {
	case r.Plain():
		return nil
	case r.TLS.Certificate != "":
		_, err := listen.LoadPair(r.TLS.Certificate, r.TLS.Key, r.Host)
		return err
	}
	_, err := listen.Roots(r.TLS.CARoot)
	return err
}

// fits is fitting for what is to be deployed, before there is a rollout of it.
// What an orphan of the project has is handed over: services that are not declared, where
// any are, are in nobody's way.
func (b *backend) fits(ctx context.Context, specs []steady.Spec, declared []string) error {
	if len(specs) == 0 {
		return nil
	}
	all, err := b.store.Routes(ctx, "")
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(r steady.Route) bool {
		return r.Project == specs[0].Project && len(declared) > 0 && !slices.Contains(declared, r.Service)
	})
	var routes []steady.Route
	for _, s := range specs {
		routes = append(routes, steady.Route{Project: s.Project, Service: s.Service, Ports: s.Ports, Rules: s.Routes})
	}
	refused := steady.AsError(fitting(all, routes))
	if refused == nil {
		return nil
	}
	if i := slices.IndexFunc(all, func(r steady.Route) bool {
		return r.Project == specs[0].Project && r.Service == refused.Service
	}); i >= 0 {
		refused.Serving = all[i].Release
	}
	return refused
}

// certificatesOf are the states of the certificates of the routes' hosts.
func (b *backend) certificatesOf(ctx context.Context, routes []steady.Route) []steady.CertificateStatus {
	wanted := certificates(routes)
	if len(wanted) == 0 {
		return nil
	}
	all, err := b.router.proxy.Certificates(ctx)
	if err != nil {
		return nil // a status without them is better than none
	}
	return slices.DeleteFunc(all, func(s steady.CertificateStatus) bool {
		return !slices.ContainsFunc(wanted, func(c steady.Certificate) bool { return c.Host == s.Host })
	})
}

// asked are the specs that are to be deployed, not merely depended on.
func asked(specs []steady.Spec, o steady.Options) []steady.Spec {
	if len(o.Services) == 0 {
		return specs
	}
	return slices.DeleteFunc(slices.Clone(specs), func(s steady.Spec) bool { return !slices.Contains(o.Services, s.Service) })
}
