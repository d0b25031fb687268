package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/probe"
	"gesalpai.ch/steady/internal/proxy"
	"gesalpai.ch/steady/internal/store"
)

// containers is what the router asks the Engine.
type containers interface {
	Replica(ctx context.Context, name string) (steady.Replica, error)
}

// router turns routes, which are decisions about replicas, into the proxy's
// table, which is addresses. It implements rollout.Router.
type router struct {
	store   *store.Store
	engine  containers
	holders holders
	proxy   *proxy.Client
	keeper  *keeper
	log     *slog.Logger

	mu     sync.Mutex
	adopts adoption
	udp    udpState
	held   map[string]steady.Holder       // by ref: those whose listener the proxy has
	flows  map[string]string              // by ref: where UDP goes, as last set
	known  map[string]steady.Replica      // by name: routed or just un-routed, as last seen
	away   map[string]bool                // routed replicas that died and are not ready again
	routes []steady.Route                 // of all projects, as last read or written; nil: not known
	found  map[string]steady.Holder       // by ref: those that there are, as last seen
	shaken map[string]bool                // by container ID: holders that have left or joined a network since
	untold bool                           // the proxy that runs does not know of processes
	over   atomic.Pointer[[]steady.Route] // routes in force that the store lacks; see ServeUnstored
	lost   *recovery                      // what the store may have lost; nil: nothing
	// maintenance is what the store has of all projects; nil: not read.
	maintenance *[]steady.Maintenance
}

func newRouter(st *store.Store, eng interface {
	containers
	holders
}, k *keeper, log *slog.Logger) *router {
	return &router{store: st, engine: eng, holders: eng, proxy: k.proxy, keeper: k, log: log, held: map[string]steady.Holder{}, flows: map[string]string{}, adopts: newAdoption(k.proxy.Socket()), udp: newUDPState(k.proxy.Socket()), known: map[string]steady.Replica{}, away: map[string]bool{}, shaken: map[string]bool{}}
}

// Free implements rollout.Router.
func (r *router) Free(ctx context.Context, routes []steady.Route) error {
	all, err := r.Routes(ctx, "")
	if err != nil {
		return err
	}
	var ls []steady.Listener
	for _, route := range routes {
		for _, p := range route.Ports {
			if err := foreign(all, route.Project, p); err != nil {
				return err
			}
			ls = append(ls, listener(route, p))
		}
	}
	if err := fitting(all, routes); err != nil {
		return err
	}
	ls = append(ls, hosted(routes)...)
	slices.SortFunc(ls, func(a, b steady.Listener) int { return int(a.Port) - int(b.Port) })
	return r.proxy.Free(ctx, slices.CompactFunc(ls, steady.Equal[steady.Listener]))
}

// foreign is steady.ErrPortTaken where another project publishes the port through
// the same proxy.
func foreign(all []steady.Route, project string, p steady.Port) error {
	for _, route := range all {
		for _, q := range route.Ports {
			if route.Project == project || p.Published == 0 || p.Published != q.Published || p.Transport != q.Transport || p.HostIP != q.HostIP && p.HostIP != "" && q.HostIP != "" {
				continue
			}
			return steady.ErrPortTaken.With(fmt.Sprintf("port %s is published by %s/%s", p, route.Project, route.Service),
				"publish another port, or steady down -p "+route.Project)
		}
	}
	return nil
}

// decided lists the routes of all projects: the store's, and while that cannot be
// read those of the last time. Where the replicas are now must not depend on a disk.
func (r *router) decided(ctx context.Context) ([]steady.Route, error) {
	all, err := r.stored(ctx)
	if err == nil {
		r.routes = all
		return all, nil
	}
	if ctx.Err() != nil || r.routes == nil {
		return nil, err
	}
	r.log.Warn("read the routes; those read last are in force", "err", err)
	return r.routes, nil
}

// Callers implements rollout.Router.
func (r *router) Callers(ctx context.Context, project string) ([]steady.Caller, error) {
	now, err := r.proxy.Status(ctx)
	if err != nil {
		return nil, err
	}
	var out []steady.Caller
	for _, u := range now.Upstreams {
		service, ok := strings.CutPrefix(u.Pool, project+"/")
		if i := strings.IndexAny(service, "@:"); ok && i > 0 {
			for _, a := range slices.Sorted(maps.Keys(u.Callers)) {
				out = append(out, steady.Caller{Service: service[:i], Address: a, Streams: u.Callers[a]})
			}
		}
	}
	return out, nil
}

// Reading implements rollout.Router.
func (r *router) Reading(ctx context.Context, project string, since time.Time) (steady.Reading, error) {
	return r.proxy.Reading(ctx, project, since)
}

// Traffic reads the counters of one project.
func (r *router) Traffic(ctx context.Context, project string) (steady.Traffic, error) {
	all, err := r.proxy.Traffic(ctx)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(all, func(k string, _ map[int]steady.Counts) bool {
		return len(k) <= len(project) || k[:len(project)+1] != project+"/"
	})
	return all, nil
}

// Flows implements rollout.Router.
func (r *router) Flows(ctx context.Context, project, service string) (map[int]steady.Flow, error) {
	ctx, cancel := context.WithTimeout(ctx, proxyAskFor)
	defer cancel()
	return r.proxy.FlowsOf(ctx, project+"/"+service)
}

// Route implements rollout.Router: the store first, then the swap. A crash
// between leaves both releases running, so either answer is right, and the next
// refresh puts the stored one in force. Routes that are in force already are not
// written again, so that an undo needs no room on the disk for them.
func (r *router) Route(ctx context.Context, routes []steady.Route) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, err := r.stored(ctx)
	if err != nil {
		return err
	}
	for _, route := range routes {
		if err := r.look(ctx, route); err != nil {
			return err
		}
	}
	after := merge(before, routes)
	if err := r.learn(ctx, after); err != nil {
		return err
	}
	if err := r.lendAll(ctx, slices.DeleteFunc(slices.Clone(routes), func(t steady.Route) bool { return t.Gone })); err != nil {
		return err
	}
	if err := r.readMaintenance(ctx); err != nil {
		return err
	}
	if sameRoutes(before, after) && !r.lacks(routes) {
		return r.serveIfNew(ctx, after, r.proxy.Mend)
	}
	r.linger(before, routes)
	notices := *r.maintenance
	table := r.table(after)
	if err := r.store.PutRoutes(ctx, routes); err != nil {
		return err
	}
	r.routes = after
	r.keepUnstored(routes)
	if slices.ContainsFunc(routes, func(t steady.Route) bool { return t.Gone }) {
		r.maintenance = nil // what is gone has taken its own with it
	}
	err = r.keepRedirects(ctx, after)
	if err == nil {
		err = r.serve(ctx, table, r.proxy.Serve)
	}
	if err != nil {
		return errors.Join(err, r.restore(context.WithoutCancel(ctx), before, routes, notices))
	}
	err = r.setRedirects(ctx, after)
	if err == nil {
		err = r.publish(ctx, after)
	}
	if err != nil {
		ctx := context.WithoutCancel(ctx)
		return errors.Join(err, r.restore(ctx, before, routes, notices), r.serveIfNew(ctx, before, r.proxy.Mend))
	}
	r.forward(ctx, after)
	return nil
}

// look learns where a route's replicas are now. One that has died is left out; an
// error is when none is there that could answer.
func (r *router) look(ctx context.Context, route steady.Route) error {
	var missing error
	there := 0
	for _, name := range route.Replicas {
		c, err := r.replica(ctx, name)
		if err != nil && !errors.Is(err, steady.ErrNoReplica) {
			return fmt.Errorf("look up %s: %w", name, err)
		}
		if err == nil && address(c) == "" {
			err = fmt.Errorf("%s is %s and has no address", name, c.State)
		}
		if err != nil {
			r.away[name], missing = true, err
			delete(r.known, name)
			continue
		}
		there++
		r.known[name] = c
		delete(r.away, name)
	}
	if there == 0 && (len(route.Ports)+len(route.Rules) > 0 || route.Held) {
		return missing
	}
	return nil
}

// learn looks up what was never seen since the daemon began: a table is whole, so
// who is unknown would be left out of it.
func (r *router) learn(ctx context.Context, routes []steady.Route) error {
	for _, route := range routes {
		for _, name := range slices.Concat(route.Replicas, route.Elders) {
			if _, seen := r.known[name]; seen || r.away[name] {
				continue
			}
			c, err := r.replica(ctx, name)
			switch {
			case errors.Is(err, steady.ErrNoReplica), err == nil && !c.Running():
				r.away[name] = true
			case err != nil:
				return fmt.Errorf("look up %s: %w", name, err)
			default:
				r.known[name] = c
			}
		}
	}
	return nil
}

// sameRoutes says whether both lists hold the same routes, in any order.
func sameRoutes(a, b []steady.Route) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x steady.Route) bool {
		return !slices.ContainsFunc(b, func(y steady.Route) bool {
			return steady.Equal(x, y)
		})
	})
}

// bindFor is how long a port may take to come free when the container that
// published it has just been stopped, and how long a proxy that died may take to
// be back.
const bindFor = 2 * time.Second

// put is one of the proxy's two ways to put a table in force: Serve or Mend.
type put func(context.Context, steady.Table) error

// serve puts a table in force, after the one that is. Its version follows that
// one's and no counter of the store's: a store that was lost or cannot be written is
// no reason to go on with addresses that are another's. A port that an adopted
// container has just let go of may be busy for a few milliseconds more.
func (r *router) serve(ctx context.Context, t steady.Table, put put) error {
	end := time.Now().Add(bindFor)
	var before error // who waits too long for a port shall hear of the port
	for {
		now, err := r.proxy.Table(ctx)
		if err == nil {
			t.Version = now.Version + 1
			err = put(ctx, t)
		}
		if r.older(err) {
			t = r.tellProcesses(t)
			continue
		}
		if err == nil {
			if err := r.keeper.refresh(ctx); err != nil { // it is in force all the same
				r.log.Warn("keep the listeners", "err", err)
			}
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(before, err)
		}
		if !errors.Is(err, steady.ErrPortTaken) && !errors.Is(err, steady.ErrNoProxy) || time.Now().After(end) {
			return err
		}
		before = err
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// merge is before with each of the routes in the place of its service's.
func merge(before, routes []steady.Route) []steady.Route {
	out := slices.DeleteFunc(slices.Clone(before), func(b steady.Route) bool {
		return slices.ContainsFunc(routes, func(n steady.Route) bool { return n.Project == b.Project && n.Service == b.Service })
	})
	for _, n := range routes {
		if !n.Gone {
			out = append(out, n)
		}
	}
	return out
}

// restore stores what was before routes, and the maintenances that went with them.
func (r *router) restore(ctx context.Context, before, routes []steady.Route, notices []steady.Maintenance) error {
	errs := []error{r.store.PutRoutes(ctx, restored(before, routes))}
	r.routes = nil
	r.maintenance = nil
	put := map[string]bool{}
	for _, t := range routes {
		if own := slices.DeleteFunc(slices.Clone(notices), func(m steady.Maintenance) bool { return m.Project != t.Project }); len(own) > 0 && !put[t.Project] {
			put[t.Project] = true
			errs = append(errs, r.store.PutMaintenance(ctx, t.Project, own))
		}
	}
	return errors.Join(errs...)
}

// restored is what must be stored to take routes back.
func restored(before, routes []steady.Route) []steady.Route {
	var out []steady.Route
	for _, n := range routes {
		i := slices.IndexFunc(before, func(b steady.Route) bool { return n.Project == b.Project && n.Service == b.Service })
		if i >= 0 {
			out = append(out, before[i])
			continue
		}
		n.Gone = true
		out = append(out, n)
	}
	return out
}

// table builds the proxy's whole table, not numbered yet; replicas that are away
// are left out.
func (r *router) table(routes []steady.Route) steady.Table {
	t, _ := r.tableOf(routes)
	return r.tellProcesses(t)
}

func (r *router) tableOf(routes []steady.Route) (steady.Table, []spare) {
	routes = slices.Clone(routes)
	slices.SortFunc(routes, func(a, b steady.Route) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Service, b.Service))
	})
	var t steady.Table
	var spares []spare
	pools := map[string]bool{}
	for _, route := range routes {
		if l, ps, ok := r.inner(route); ok {
			t.Listeners, t.Pools = append(t.Listeners, l), append(t.Pools, ps...)
		}
		for _, p := range route.Ports {
			l := listener(route, p)
			switch {
			case route.Redirect && p.Published != 0:
			case p.Transport == steady.UDP:
				t.UDP = append(t.UDP, l)
			default:
				t.Listeners = append(t.Listeners, l)
			}
			if r.spared(route) && p.Published > 0 && p.Transport != steady.UDP {
				spares = append(spares, spare{at: len(t.Listeners), host: p.HostIP, port: p.Published})
				t.Listeners = append(t.Listeners, steady.Listener{Host: nearest(p.HostIP), Protocol: l.Protocol, Pool: l.Pool})
			}
			if pools[l.Pool] {
				continue
			}
			pools[l.Pool] = true
			t.Pools = append(t.Pools, r.pool(&t, route, l.Pool, p.Target))
		}
		for _, rule := range route.Rules {
			name := steady.PoolName(route.Project, route.Service, rule.Port)
			if pools[name] {
				continue
			}
			pools[name] = true
			t.Pools = append(t.Pools, r.pool(&t, route, name, rule.Port))
		}
	}
	t.Listeners = append(t.Listeners, hosted(routes)...)
	t.Certificates = certificates(routes)
	return t, spares
}

func listener(route steady.Route, p steady.Port) steady.Listener {
	l := steady.Listener{Host: p.HostIP, Port: p.Published, Protocol: p.Protocol, Pool: steady.PoolName(route.Project, route.Service, p.Target)}
	if p.Transport == steady.UDP {
		l.Protocol = steady.UDP
	}
	return l
}

func (r *router) upstreams(route steady.Route, target uint16) []steady.Upstream {
	return at(r.routed(route), route, target)
}

// at is the replicas' addresses for one of their ports.
func at(replicas []steady.Replica, route steady.Route, target uint16) []steady.Upstream {
	var out []steady.Upstream
	for _, c := range replicas {
		out = append(out, steady.Upstream{ID: c.ID, Name: c.Name, Release: release(c, route),
			Addr: net.JoinHostPort(address(c), strconv.Itoa(int(target))), Process: c.Process})
	}
	return out
}

// routed lists the route's replicas that can be reached now.
func (r *router) routed(route steady.Route) []steady.Replica { return r.there(route.Replicas) }

// there lists those of the replicas named that can be reached now.
func (r *router) there(names []string) []steady.Replica {
	var out []steady.Replica
	for _, name := range names {
		c, ok := r.known[name]
		if ok && address(c) != "" && !r.away[name] {
			out = append(out, c)
		}
	}
	return out
}

// release is which release a replica is counted for: a container that Compose
// made counts for the route's.
func release(c steady.Replica, route steady.Route) int {
	if c.Release == 0 {
		return route.Release
	}
	return c.Release
}

// address is where the host reaches a running replica, "" for nowhere.
func address(c steady.Replica) string {
	if !c.Running() {
		return ""
	}
	a, _ := probe.Address(c)
	return a
}

// Drain implements rollout.Router.
func (r *router) Drain(ctx context.Context, names []string, clocks steady.Drain) (steady.Drained, error) {
	var ids []string
	var there []steady.Replica
	for _, name := range names {
		c, err := r.engine.Replica(ctx, name)
		if errors.Is(err, steady.ErrNoReplica) {
			continue
		}
		if err != nil {
			return steady.Drained{}, fmt.Errorf("look up %s: %w", name, err)
		}
		ids, there = append(ids, c.ID), append(there, c)
	}
	if len(ids) == 0 {
		return steady.Drained{}, nil
	}
	flows := make(chan steady.Drained, 1)
	go func() { flows <- r.drainFlows(ctx, there, clocks) }()
	d, err := r.proxy.Drain(ctx, ids, clocks)
	return d.Plus(<-flows), err
}
