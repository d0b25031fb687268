package daemon

import (
	"context"
	"slices"

	"gesalpai.ch/steady"
)

// figures are what was measured of one project.
type figures struct {
	traffic steady.Traffic
	flows   steady.Flows
	open    map[string]steady.Open // by container ID
	gates   []steady.GateStatus
	routed  map[string]bool         // by container ID: what the proxy passes on goes there
	use     map[string]steady.Usage // by container ID
}

// figures asks the proxy; what it does not say is missing.
func (b *backend) figures(ctx context.Context, project string) (figures, error) {
	var f figures
	ctx, cancel := context.WithTimeout(ctx, proxyAskFor)
	defer cancel()
	var err error
	if f.traffic, err = b.router.Traffic(ctx, project); err != nil {
		return f, err
	}
	if f.flows, err = b.proxy.client.Flows(ctx); err != nil {
		return f, err
	}
	now, err := b.proxy.client.Status(ctx)
	if err != nil {
		return f, err
	}
	table, err := b.proxy.client.Table(ctx)
	if err != nil {
		return f, err
	}
	f.gates = now.Gates
	f.open, f.routed = map[string]steady.Open{}, map[string]bool{}
	for _, p := range table.Pools { // the status has those of names only once somebody has called them
		for _, u := range p.Upstreams {
			f.routed[u.ID] = true
		}
	}
	for _, u := range now.Upstreams {
		if u.Unknown {
			f.routed[u.ID] = false
		}
	}
	for _, u := range now.Upstreams {
		f.routed[u.ID] = f.routed[u.ID] || u.Routed && !u.Unknown
		f.open[u.ID] = f.open[u.ID].Plus(steady.Open{Requests: u.Requests, Streams: u.Streams})
	}
	return f, nil
}

// inForce has the proxy say which replicas of a service take its traffic, where that
// comes through it and it can be asked.
func (f figures) inForce(routes []steady.Route, s *steady.ServiceStatus) {
	through := func(r steady.Route) bool { return r.Service == s.Service && (len(r.Ports)+len(r.Rules) > 0 || r.Held) }
	if f.routed == nil || !slices.ContainsFunc(routes, through) {
		return
	}
	for i, r := range s.Replicas {
		s.Replicas[i].Routed = f.routed[r.ID]
	}
}

// fill puts the figures of a service into its status.
func (f figures) fill(project string, s *steady.ServiceStatus) {
	ref := project + "/" + s.Service
	for _, c := range f.traffic[ref] {
		s.Traffic = s.Traffic.Plus(c)
	}
	if i := slices.IndexFunc(f.gates, func(g steady.GateStatus) bool { return g.Service == ref }); i >= 0 {
		s.Gate = &f.gates[i]
	}
	flow := f.flows.Of(ref)
	s.Open, s.Minute, s.Lately = flow.Open, flow.Minute.Pace(), flow.Lately.Pace()
	for i := range s.Replicas {
		r := &s.Replicas[i]
		r.Open = f.open[r.ID]
		if u, ok := f.use[r.ID]; ok {
			r.Usage = &u
		}
	}
}
