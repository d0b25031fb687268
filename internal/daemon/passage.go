package daemon

import (
	"slices"

	"gesalpai.ch/steady"
)

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

// samePassage says whether both are alike in what only a rollout gives a route.
func samePassage(x, y steady.Route) bool {
	return same(x.Hold, y.Hold) && same(x.Split, y.Split) && slices.Equal(x.Elders, y.Elders) && slices.Equal(x.Assets, y.Assets)
}

// same says whether both are nil, or of the same value.
func same[T comparable](x, y *T) bool {
	if x == nil || y == nil {
		return x == y
	}
	return *x == *y
}
