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

// fits is fitting for what is to be deployed.
func (b *backend) fits(ctx context.Context, specs []steady.Spec) error {
	all, err := b.store.Routes(ctx, "")
	if err != nil {
		return err
	}
	var routes []steady.Route
	for _, s := range specs {
		routes = append(routes, steady.Route{Project: s.Project, Service: s.Service, Ports: s.Ports, Rules: s.Routes})
	}
	return fitting(all, routes)
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
