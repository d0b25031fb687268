package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/metrics"
	"gesalpai.ch/steady/internal/proxy"
	"gesalpai.ch/steady/internal/store"
)

// monitorTimeout bounds how long somebody who asks for metrics may take to say so,
// and to take the answer.
const monitorTimeout = 30 * time.Second

// journal is the store, and tells of each rollout that ends, and of each event.
type journal struct {
	*store.Store
	ended func(steady.Rollout)
	told  func(context.Context, steady.Event)
}

// Event implements rollout.Journal.
func (j journal) Event(ctx context.Context, e *steady.Event) error {
	err := j.Store.Event(ctx, e)
	if err == nil {
		j.told(ctx, *e)
	}
	return err
}

// Update implements rollout.Journal.
func (j journal) Update(ctx context.Context, r steady.Rollout) error {
	err := j.Store.Update(ctx, r)
	if err == nil && r.Final() { // one that cannot be stored yet comes again
		j.ended(r)
	}
	return err
}

// monitorAddr is the address of the metrics; a zero one is none.
type monitorAddr struct{ net.Listener }

func (w monitorAddr) close() error {
	if w.Listener == nil {
		return nil
	}
	return closed(w.Close())
}

// serve serves until ctx ends.
func (w monitorAddr) serve(ctx context.Context, srv *http.Server) error {
	if w.Listener == nil {
		<-ctx.Done()
		return nil
	}
	return serve(ctx, srv, w.Listener)
}

// listenMonitor opens the address of the metrics, where there shall be one.
func listenMonitor(o Options) (monitorAddr, error) {
	if o.Metrics == "" {
		return monitorAddr{}, nil
	}
	ln, err := net.Listen("tcp", o.Metrics)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return monitorAddr{}, steady.ErrUsage.With("the address of the metrics is taken: "+o.Metrics, "give another one to --metrics")
	case err != nil:
		return monitorAddr{}, steady.ErrUsage.With(fmt.Sprintf("the address of the metrics cannot be used: %v", err), "steady daemon --metrics 127.0.0.1:9180")
	}
	if at, ok := ln.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		o.Log.Warn("metrics are readable by whoever reaches their address", "addr", ln.Addr().String())
	}
	return monitorAddr{ln}, nil
}

// monitor serves metrics and health.
func (b *backend) monitor(m *metrics.Metrics) *http.Server {
	return &http.Server{Handler: m.Handler(b.checks()...), ReadHeaderTimeout: monitorTimeout, WriteTimeout: monitorTimeout}
}

// checks are what a rollout needs.
func (b *backend) checks() []metrics.Check {
	return []metrics.Check{
		{Name: "engine", Ask: func(ctx context.Context) error { _, _, err := b.engine.Version(ctx); return err }},
		{Name: "proxy", Ask: func(ctx context.Context) error { _, err := b.proxy.client.Ping(ctx); return err }},
		{Name: "store", Ask: b.store.Writable},
	}
}

// snapshot asks everybody for what the metrics tell.
func (b *backend) snapshot(ctx context.Context) metrics.Snapshot {
	s := metrics.Snapshot{Restarts: b.proxy.restarts.Load(), Running: map[string]int{}}
	var f figures
	if now, err := b.proxy.client.Status(ctx); err == nil {
		s.Proxy = &metrics.Proxy{
			Started: now.Started, Connections: now.Connections, Drains: now.Drains, Drained: now.Drained,
			LogWritten: now.AccessLog.Written, LogDropped: now.AccessLog.Dropped,
		}
		s.Flows, _ = b.proxy.client.Flows(ctx) // it has just answered; missing is all it can be
		f.flows = s.Flows
	}
	routes, err := b.store.Routes(ctx, "")
	if err != nil {
		b.rollouts.Log.Warn("read routes for the metrics", "err", err)
		return s
	}
	_, _, err = b.engine.Version(ctx)
	s.Engine = err == nil
	for _, project := range projectsOf(routes) {
		s.Running[project] = 0
		if b.rollouts.Running(project) != nil {
			s.Running[project] = 1
		}
		s.Services = append(s.Services, b.servicesFor(ctx, project, routes, f)...)
	}
	return s
}

// servicesFor is a project's services that have a route, as the status tells them;
// without replicas where the Engine does not answer.
func (b *backend) servicesFor(ctx context.Context, project string, routes []steady.Route, f figures) []metrics.Service {
	seen, err := b.engine.Observe(ctx, project, nil)
	if err == nil {
		f.use = b.meter.Known(seen.Replicas)
	}
	var out []metrics.Service
	for _, route := range routes {
		if route.Project != project {
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(routes), func(r steady.Route) bool { return r.Project != project })
		s := serviceStatus(route.Service, seen, steady.Release{Number: route.Release}, mine)
		f.fill(project, &s)
		out = append(out, metrics.Service{Project: project, Seen: err == nil, ServiceStatus: s})
	}
	return out
}

func projectsOf(routes []steady.Route) []string {
	var out []string
	for _, r := range routes {
		out = append(out, r.Project)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkAccessLog says why the access log could not be written, before a proxy is
// started for it: the proxy itself would serve on without.
func checkAccessLog(want proxy.AccessLogStatus) error {
	if !want.On || want.Path == "" {
		return nil
	}
	if err := proxy.WritableAccessLog(want.Path); err != nil {
		return steady.ErrUsage.With(err.Error(), "make its directory, or give another file to --access-log")
	}
	return nil
}

// compareAccessLog warns where the proxy that runs was started with another access
// log than the daemon is asked for: a proxy keeps what it was given.
func (p *proxies) compareAccessLog(ctx context.Context, want proxy.AccessLogStatus) {
	now, err := p.client.Status(ctx)
	if err != nil || !want.On {
		return
	}
	has := now.AccessLog
	if has.On && has.Path == want.Path && has.Format == want.Format && has.Query == want.Query {
		return
	}
	where := "none"
	if has.On {
		where = cmp.Or(has.Path, "standard output") + " as " + has.Format
	}
	p.log.Warn("the proxy that runs keeps another access log than asked for, until it is started again", "has", where, "proxy", now.PID)
}
