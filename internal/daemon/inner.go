package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"syscall"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// holders is what the router asks the Engine about holders.
type holders interface {
	Holders(ctx context.Context, project string) ([]steady.Holder, error)
}

// lendAll sees to it that the proxy has a listener in the network namespace of
// every holder that the routes need. A holder that was started again has another
// namespace, so its listener is opened and lent anew.
func (r *router) lendAll(ctx context.Context, routes []steady.Route) error {
	if !slices.ContainsFunc(routes, func(t steady.Route) bool { return t.Held }) {
		return nil
	}
	all, err := r.holders.Holders(ctx, "")
	if err != nil {
		return fmt.Errorf("look up holders: %w", err)
	}
	there := map[string]steady.Holder{}
	for _, h := range all {
		there[h.Ref()] = h
	}
	r.found = there
	var errs []error
	for _, t := range routes {
		if !t.Held {
			continue
		}
		ref := t.Project + "/" + t.Service
		h, ok := there[ref]
		if !ok || h.PID == 0 {
			delete(r.held, ref)
			errs = append(errs, fmt.Errorf("the holder of %s does not run", ref))
			continue
		}
		errs = append(errs, r.lend(ctx, h))
	}
	return errors.Join(errs...)
}

// lend lends one holder's listener, unless the proxy has it.
func (r *router) lend(ctx context.Context, h steady.Holder) error {
	was, ok := r.held[h.Ref()]
	same := ok && was.ID == h.ID && was.PID == h.PID && was.Started.Equal(h.Started)
	if same && maps.Equal(was.Addresses, h.Addresses) && !r.shaken[h.ID] {
		return nil
	}
	if err := listen.Redirect(ctx, h.PID, steady.HolderPort); err != nil {
		return fmt.Errorf("redirect to the listener of %s: %w", h.Ref(), err)
	}
	delete(r.flows, h.Ref()) // Redirect has taken them away
	delete(r.shaken, h.ID)
	if !same {
		if err := r.open(ctx, h); err != nil {
			return err
		}
	}
	r.held[h.Ref()] = h
	return nil
}

// open opens the listener in the holder's namespace and lends it. Where one is
// open there, it is lent from the copies kept, or a proxy has it since an earlier
// daemon's time.
func (r *router) open(ctx context.Context, h steady.Holder) error {
	name := steady.HolderListener(h.Ref())
	ln, err := listen.Within(ctx, h.PID, steady.HolderPort)
	if errors.Is(err, syscall.EADDRINUSE) {
		if f := r.keeper.named(name); f != nil {
			return r.proxy.Lend(ctx, name, f)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("listen in the network of %s: %w", h.Ref(), err)
	}
	defer ln.Close()
	f, err := ln.File()
	if err != nil {
		return fmt.Errorf("take the listener of %s: %w", h.Ref(), err)
	}
	defer f.Close()
	if err := r.proxy.Lend(ctx, name, f); err != nil {
		return fmt.Errorf("lend the listener of %s: %w", h.Ref(), err)
	}
	return nil
}

// inner is the part of the table for calls from within the project: what came to
// the holder's address in a network goes to the replicas' addresses in the same
// network, and nowhere else.
func (r *router) inner(route steady.Route) (steady.Listener, []steady.Pool, bool) {
	h, ok := r.held[route.Project+"/"+route.Service]
	if !route.Held || !ok {
		return steady.Listener{}, nil, false
	}
	l := steady.Listener{Holder: h.Ref(), Protocol: steady.Auto, Arrivals: map[string]string{}}
	var pools []steady.Pool
	for _, network := range slices.Sorted(maps.Keys(h.Addresses)) {
		name := steady.InnerPoolName(route.Project, route.Service, network)
		l.Arrivals[h.Addresses[network]] = name
		p := passing(route, steady.Pool{Name: name})
		p.Split = innerSplit(p.Split)
		p.Upstreams, p.Elders = within(r.routed(route), route, network), within(r.there(route.Elders), route, network)
		pools = append(pools, p)
	}
	return l, pools, true
}

// within is the replicas' addresses in one network, without a port.
func within(replicas []steady.Replica, route steady.Route, network string) []steady.Upstream {
	var out []steady.Upstream
	for _, c := range replicas {
		if a := c.Addresses[network]; a != "" {
			out = append(out, steady.Upstream{ID: c.ID, Name: c.Name, Release: release(c, route), Addr: a, Process: c.Process})
		}
	}
	return out
}

// forward sends UDP flows from within the project, which do not come through the
// proxy, to the replicas that the routes list. A failure costs UDP, not the rollout.
func (r *router) forward(ctx context.Context, routes []steady.Route) {
	for _, route := range routes {
		ref := route.Project + "/" + route.Service
		h, ok := r.held[ref]
		if !route.Held || !ok {
			delete(r.flows, ref)
			continue
		}
		to := r.flowsOf(route, h)
		if now := fmt.Sprint(to); r.flows[ref] != now {
			if err := listen.Forward(ctx, h.PID, to); err != nil {
				r.log.Warn("forward udp", "service", ref, "err", err)
				continue
			}
			r.flows[ref] = now
		}
	}
}

// flowsOf is, for each of the holder's addresses, the replicas' in that network.
func (r *router) flowsOf(route steady.Route, h steady.Holder) map[netip.Addr][]netip.Addr {
	to := map[netip.Addr][]netip.Addr{}
	for network, own := range h.Addresses {
		a, err := netip.ParseAddr(own)
		if err != nil {
			continue
		}
		to[a] = nil
		for _, c := range r.routed(route) {
			if b, err := netip.ParseAddr(c.Addresses[network]); err == nil && !onTrial(route, c) {
				to[a] = append(to[a], b)
			}
		}
	}
	return to
}
