package daemon

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
	"gesalpai.ch/steady/internal/proxy"
)

const (
	// republishEvery is how often the rules for published UDP are written again where
	// nothing has changed: a firewall that is reloaded takes them away.
	republishEvery = 20 * time.Second
	// flowsEvery is how often a drain looks at the kernel's flows.
	flowsEvery = 200 * time.Millisecond
	// flowsOften is the same once busy flows are to be led elsewhere.
	flowsOften = 20 * time.Millisecond
	// flowGrace is how long answers that may be under way have at the least.
	flowGrace = 100 * time.Millisecond
)

// udpState is what the router remembers of published UDP ports.
type udpState struct {
	chain string // of the machine's tables; one a daemon
	set   string // what is in force, as last set; empty: not known
	at    time.Time
	last  []listen.Publication
	// leaving are replicas that no route lists any more and whose flows go on until
	// they are drained; by name.
	leaving map[string]steady.Replica
}

func newUDPState(socket string) udpState {
	sum := fnv.New32a()
	sum.Write([]byte(socket))
	return udpState{chain: fmt.Sprintf("STEADY-UDP-%08X", sum.Sum32()), leaving: map[string]steady.Replica{}}
}

// leave notes the replicas that the routes do not list any more.
func (u *udpState) leave(before, routes []steady.Route, known map[string]steady.Replica) {
	for _, t := range routes {
		for _, b := range before {
			if b.Project == t.Project && b.Service == t.Service && publishesUDP(b) {
				u.note(b.Replicas, known)
			}
		}
		for _, name := range t.Replicas {
			if !t.Gone {
				delete(u.leaving, name)
			}
		}
	}
}

// note adds those of the replicas named that are known to the leaving.
func (u *udpState) note(names []string, known map[string]steady.Replica) {
	for _, name := range names {
		if c, ok := known[name]; ok {
			u.leaving[name] = c
		}
	}
}

func publishesUDP(t steady.Route) bool {
	return slices.ContainsFunc(t.Ports, func(p steady.Port) bool { return p.Transport == steady.UDP })
}

// seeLeaving drops those of the leaving that have ended: their addresses may be
// another's soon.
func (r *router) seeLeaving(ctx context.Context) error {
	for name, was := range r.udp.leaving {
		c, err := r.replica(ctx, name)
		if err != nil && !errors.Is(err, steady.ErrNoReplica) {
			return err
		}
		if err != nil || !c.Running() || c.Started != was.Started {
			delete(r.udp.leaving, name)
		}
	}
	return nil
}

// publish has the kernel lead the datagrams that come to published UDP ports to the
// replicas that the routes list. Where it cannot, none of its rules stay, and the proxy
// relays them; an error is only where they stay.
func (r *router) publish(ctx context.Context, routes []steady.Route) error {
	ps, err := r.publications(ctx, routes)
	if err != nil {
		return err
	}
	var keep []netip.Addr
	for _, name := range slices.Sorted(maps.Keys(r.udp.leaving)) {
		keep = append(keep, addresses(r.udp.leaving[name])...)
	}
	want := fmt.Sprint(ps, keep)
	if r.udp.set == want && (len(ps)+len(keep) == 0 || time.Since(r.udp.at) < republishEvery) {
		return nil
	}
	failed := listen.Publish(ctx, r.udp.chain, ps, keep)
	if failed != nil {
		if err := listen.Publish(context.WithoutCancel(ctx), r.udp.chain, nil, nil); err != nil {
			r.udp.set = ""
			return errors.Join(failed, err)
		}
		if r.udp.set != want {
			r.log.Warn("published udp is relayed by the proxy, and containers see its address as the sender's", "err", failed)
		}
		for i := range ps {
			ps[i].Backends = nil
		}
	}
	if len(ps)+len(r.udp.last) > 0 {
		if err := listen.Reroute(append(ps, withdrawn(r.udp.last, ps)...), keep); err != nil {
			r.log.Warn("lead udp flows elsewhere", "err", err)
		}
	}
	r.udp.set, r.udp.at, r.udp.last = want, time.Now(), ps
	return nil
}

// withdrawn are the publications of before whose ports are published no more.
func withdrawn(before, now []listen.Publication) []listen.Publication {
	var out []listen.Publication
	for _, b := range before {
		if !slices.ContainsFunc(now, func(n listen.Publication) bool { return n.Host == b.Host && n.First == b.First && n.Last == b.Last }) {
			out = append(out, listen.Publication{Host: b.Host, First: b.First, Last: b.Last})
		}
	}
	return out
}

// publications are where the datagrams of all routes' UDP ports go, ranges in one.
func (r *router) publications(ctx context.Context, routes []steady.Route) ([]listen.Publication, error) {
	var out []listen.Publication
	for _, route := range routes {
		if !publishesUDP(route) {
			continue
		}
		ports, err := r.udpPorts(ctx, route)
		if err != nil {
			return nil, err
		}
		backends := r.backends(route)
		for _, p := range steady.Ranges(ports) {
			out = append(out, listen.Publication{Host: p.HostIP, First: p.Published, Last: p.Published + p.More, Target: p.Target,
				Backends: backends, Shared: route.Redirect})
		}
	}
	slices.SortFunc(out, func(a, b listen.Publication) int { return int(a.First) - int(b.First) })
	return out, nil
}

// udpPorts are a route's UDP ports, those that the proxy chose included.
func (r *router) udpPorts(ctx context.Context, route steady.Route) ([]steady.Port, error) {
	ports := slices.DeleteFunc(slices.Clone(route.Ports), func(p steady.Port) bool { return p.Transport != steady.UDP })
	if !slices.ContainsFunc(ports, func(p steady.Port) bool { return p.Published == 0 }) {
		return ports, nil
	}
	now, err := r.proxy.Status(ctx)
	if err != nil {
		return nil, err
	}
	taken := map[int]bool{}
	for i := range ports {
		if ports[i].Published != 0 {
			continue
		}
		j := slices.IndexFunc(now.UDP, func(l proxy.ListenerStatus) bool {
			return l.Port == 0 && l.Host == ports[i].HostIP && l.Pool == listener(route, ports[i]).Pool
		})
		if j >= 0 && !taken[j] {
			taken[j] = true
			ports[i].Published = now.UDP[j].Bound
		}
	}
	return slices.DeleteFunc(ports, func(p steady.Port) bool { return p.Published == 0 }), nil
}

// backends are the addresses of a route's replicas that take datagrams. A release on
// trial takes none.
func (r *router) backends(route steady.Route) []listen.Backend {
	var out []listen.Backend
	for _, c := range r.routed(route) {
		own := slices.DeleteFunc(addresses(c), func(a netip.Addr) bool { return !a.Is4() })
		if len(own) == 0 || onTrial(route, c) {
			continue
		}
		at, answers := listen.Gateway(c.PID, own)
		if !answers {
			at = own[0]
		}
		out = append(out, listen.Backend{Addr: at, Masquerade: !answers})
	}
	return out
}

// drainFlows ends the kernel's flows to replicas that no route lists any more: each once
// it is quiet. When clocks.Streams runs out those that are busy are led elsewhere, each
// when its last datagram has been answered, or after clocks.Patience. Below 0 the clock
// never runs out.
func (r *router) drainFlows(ctx context.Context, replicas []steady.Replica, clocks steady.Drain) steady.Drained {
	replicas = r.publishing(replicas)
	var sum steady.Drained
	began := time.Now()
	for len(replicas) > 0 {
		left, err := endFlows(replicas, time.Since(began), clocks, &sum)
		if err != nil {
			r.log.Warn("end udp flows", "err", err)
		}
		if left == 0 || err != nil {
			break
		}
		look := flowsEvery
		if until := clocks.Streams - time.Since(began); clocks.Streams >= 0 {
			look = max(min(look, until), flowsOften)
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return sum
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range replicas {
		delete(r.udp.leaving, c.Name)
	}
	return sum
}

// endFlows ends what is due to end after so much time, and adds it to the sum. It gives
// how many flows are left.
func endFlows(replicas []steady.Replica, since time.Duration, clocks steady.Drain, sum *steady.Drained) (left int, err error) {
	over := clocks.Streams >= 0 && since >= clocks.Streams
	late := over && since >= clocks.Streams+max(clocks.Patience(), flowGrace)
	for _, c := range replicas {
		for _, a := range addresses(c) {
			n, err := listen.EndFlows(a, listen.EndQuiet)
			sum.Flows += n.Ended
			if err == nil && over && n.Left > 0 {
				how := listen.EndAnswered
				if late || !n.Answering && since >= flowGrace {
					how = listen.EndAll
				}
				n, err = listen.EndFlows(a, how)
				sum.Flows, sum.FlowsMoved = sum.Flows+n.Ended, sum.FlowsMoved+n.Ended
			}
			if err != nil {
				return left, err
			}
			left += n.Left
		}
	}
	return left, nil
}

// publishing are those of the replicas whose service publishes UDP, or did.
func (r *router) publishing(replicas []steady.Replica) []steady.Replica {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(replicas), func(c steady.Replica) bool {
		_, leaves := r.udp.leaving[c.Name]
		return !leaves && !slices.ContainsFunc(r.routes, func(t steady.Route) bool { return t.Service == c.Service && publishesUDP(t) })
	})
}
