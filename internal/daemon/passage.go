package daemon

import "gesalpai.ch/steady"

// pool is what the table says of one port of a route's service.
func (r *router) pool(t *steady.Table, route steady.Route, name string, target uint16) steady.Pool {
	return passing(route, steady.Pool{
		Name: name, Upstreams: r.upstreams(route, target), Sticky: route.Sticky, Maintenance: r.notice(t, route),
		Elders: at(r.there(route.Elders), route, target),
	})
}

// passing gives the pool what its route says of every pool, much of it only while a
// rollout passes.
func passing(route steady.Route, p steady.Pool) steady.Pool {
	p.Ingress, p.Hold, p.Split, p.Assets = route.Ingress, route.Hold, route.Split, route.Assets
	return p
}
