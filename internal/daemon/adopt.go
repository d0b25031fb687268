package daemon

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// lingerFor is how long the listener that a published port was redirected to goes
// on after the redirect has ended: connects that were on their way still come to it.
const lingerFor = 5 * time.Second

// adoption is what the router remembers of ports that containers which are not ours
// still publish.
type adoption struct {
	chain   string               // of the machine's nat table; one a daemon
	known   bool                 // in is what the chain holds
	in      []listen.Redirection // as last set
	lingers map[string]time.Time // by service: until when its spare listeners go on
}

// newAdoption names the chain by the proxy's socket, so that daemons side by side
// leave each other's alone.
func newAdoption(socket string) adoption {
	sum := fnv.New32a()
	sum.Write([]byte(socket))
	return adoption{chain: fmt.Sprintf("STEADY-%08X", sum.Sum32()), lingers: map[string]time.Time{}}
}

// spare is a listener of the table that a published port is redirected to: the
// proxy chooses its port.
type spare struct {
	at   int // in the table's listeners
	host string
	port uint16
}

// nearest is where the spare listener of a port must be: what is published on
// loopback alone stays out of reach of other machines. What comes for another
// address is redirected to that of the interface by which it came, any of them.
func nearest(host string) string {
	at, err := netip.ParseAddr(host)
	switch {
	case err != nil || !at.IsLoopback():
		return ""
	case at.Is4():
		return "127.0.0.1" // which what starts here is redirected to
	}
	return "::1"
}

// spared says whether the route's ports need spare listeners: as long as others
// publish them, and a little longer.
func (r *router) spared(route steady.Route) bool {
	return route.Redirect || time.Now().Before(r.adopts.lingers[route.Project+"/"+route.Service])
}

// keepRedirects takes away the redirects of ports that none of the routes has any
// more, before their listeners go.
func (r *router) keepRedirects(ctx context.Context, routes []steady.Route) error {
	if !r.adopts.known {
		return nil
	}
	return r.redirect(ctx, slices.DeleteFunc(slices.Clone(r.adopts.in), func(d listen.Redirection) bool {
		return !slices.ContainsFunc(routes, func(t steady.Route) bool {
			return slices.ContainsFunc(t.Ports, func(p steady.Port) bool {
				return p.Transport != steady.UDP && p.Published == d.Port && p.HostIP == d.Host
			})
		})
	}))
}

// setRedirects redirects the ports that others publish to the spare listeners of
// the table in force, and nothing else.
func (r *router) setRedirects(ctx context.Context, routes []steady.Route) error {
	adopting := func(t steady.Route) bool { return t.Redirect }
	if !slices.ContainsFunc(routes, adopting) {
		return r.redirect(ctx, nil)
	}
	_, spares := r.tableOf(routes)
	now, err := r.proxy.Status(ctx)
	if err != nil {
		return err
	}
	var want []listen.Redirection
	for _, s := range spares {
		if s.at >= len(now.Listeners) || now.Listeners[s.at].Bound == 0 {
			return fmt.Errorf("redirect port %d: the proxy has no listener for it", s.port)
		}
		want = append(want, listen.Redirection{Host: s.host, Port: s.port, To: now.Listeners[s.at].Bound})
	}
	return r.redirect(ctx, want)
}

func (r *router) redirect(ctx context.Context, want []listen.Redirection) error {
	if r.adopts.known && slices.Equal(want, r.adopts.in) {
		return nil
	}
	if err := listen.Adopt(ctx, r.adopts.chain, want); err != nil {
		r.adopts.known = false // some of it may be in force
		return err
	}
	r.adopts.in, r.adopts.known = want, true
	return nil
}

// linger notes what goes on for a while when routes take the place of those before: UDP
// flows to replicas that are not listed any more, and the spare listeners of services
// whose redirect ends.
func (r *router) linger(before, routes []steady.Route) {
	r.udp.leave(before, routes, r.known)
	for _, t := range routes {
		was := slices.ContainsFunc(before, func(b steady.Route) bool {
			return b.Project == t.Project && b.Service == t.Service && b.Redirect
		})
		if was && !t.Redirect && !t.Gone {
			r.adopts.lingers[t.Project+"/"+t.Service] = time.Now().Add(lingerFor)
		}
	}
}

// leaveEvery is how often those who came to a replica not through us are counted.
const leaveEvery = 20 * time.Millisecond

// Leave implements rollout.Router.
func (r *router) Leave(ctx context.Context, service, name string, clocks steady.Drain) (steady.Drained, error) {
	c, err := r.engine.Replica(ctx, name)
	switch {
	case errors.Is(err, steady.ErrNoReplica):
		return steady.Drained{}, nil
	case err != nil: // stopped unseen, it would take its callers along
		return steady.Drained{}, fmt.Errorf("look up %s: %w", name, err)
	case !c.Running() || c.HostNet || c.PID == 0:
		return steady.Drained{}, nil // nobody can be told apart there, or nobody is there
	}
	diverted, err := r.divert(ctx, service, c)
	if err != nil {
		if _, gone := listen.Connected(c.PID); gone != nil {
			return steady.Drained{}, nil // it has ended meanwhile
		}
		r.undivert(ctx, c)
		return steady.Drained{}, errors.Join(context.Cause(ctx), err)
	}
	began := time.Now()
	most := 0
	for {
		n, err := listen.Connected(c.PID)
		most = max(most, n)
		d := steady.Drained{Streams: most, StreamsEnded: most - n, StreamsCut: n}
		switch {
		case ctx.Err() != nil:
			if diverted {
				r.undivert(ctx, c)
			}
			return d, context.Cause(ctx)
		case err != nil: // it has ended by itself
			return steady.Drained{Streams: most, StreamsEnded: most}, nil
		case n == 0:
			return d, nil
		case clocks.Requests >= 0 && time.Since(began) >= clocks.Requests:
			d.StreamsQuiet = min(r.quiet(ctx, c), n)
			d.StreamsCut = n - d.StreamsQuiet
			if d.StreamsCut == 0 || time.Since(began) >= clocks.Requests+clocks.Patience() {
				return d, nil
			}
		}
		select {
		case <-time.After(leaveEvery):
		case <-ctx.Done():
		}
	}
}

// quietFor is how long a connection must have been silent to be cut without losing an
// answer, as in the proxy.
const quietFor = 50 * time.Millisecond

// quiet counts the connections to a replica that can be cut just now.
func (r *router) quiet(ctx context.Context, c steady.Replica) int {
	n, err := listen.Quiet(ctx, c.PID, quietFor)
	if err != nil { // a kernel without socket diagnostics: none is known to be
		r.log.Debug("look for quiet connections", "replica", c.Name, "err", err)
	}
	return n
}

// undivert lets a replica have its callers again that stays after all: the holder
// to which they were sent may go.
func (r *router) undivert(ctx context.Context, c steady.Replica) {
	if err := listen.Divert(context.WithoutCancel(ctx), c.PID, nil); err != nil {
		r.log.Error("lead callers to a replica again", "replica", c.Name, "err", err)
	}
}

// divert sends those who still find the replica by the service's names to the
// service's holder, if there is one.
func (r *router) divert(ctx context.Context, service string, c steady.Replica) (diverted bool, err error) {
	r.mu.Lock()
	h, ok := r.held[service]
	r.mu.Unlock()
	if !ok {
		return false, nil
	}
	to := map[netip.Addr]netip.Addr{}
	for network, address := range c.Addresses {
		own, err := netip.ParseAddr(address)
		holder, herr := netip.ParseAddr(h.Addresses[network])
		if err == nil && herr == nil {
			to[own] = holder
		}
	}
	return true, listen.Divert(ctx, c.PID, to)
}
