package proxy

import (
	"cmp"
	"os"
	"slices"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// Status is what the proxy does right now.
type Status struct {
	PID         int                 `json:"pid"`
	Version     int64               `json:"version"` // of the table in force
	Started     time.Time           `json:"started"`
	Drains      int64               `json:"drains"`  // drains that have ended since then
	Drained     steady.Drained      `json:"drained"` // what they found, in all
	AccessLog   AccessLogStatus     `json:"access_log"`
	Connections int                 `json:"connections"`
	Listeners   []ListenerStatus    `json:"listeners"`
	UDP         []ListenerStatus    `json:"udp,omitempty"`
	UDPFlows    int                 `json:"udp_flows,omitempty"` // relayed by the proxy, not led by the kernel
	Upstreams   []UpstreamStatus    `json:"upstreams"`
	Gates       []steady.GateStatus `json:"gates,omitempty"` // those that are shut, or have not let all go yet
}

// ListenerStatus is one listener of the table in force.
type ListenerStatus struct {
	steady.Listener
	Bound uint16 `json:"bound"`           // the port it got; 0 when it could not be bound
	Error string `json:"error,omitempty"` // why not; it is tried again every second
}

// UpstreamStatus is one upstream that takes traffic or has something in flight.
type UpstreamStatus struct {
	steady.Upstream
	Pool     string `json:"pool"`
	Routed   bool   `json:"routed"`            // the table in force lists it
	Unknown  bool   `json:"unknown,omitempty"` // and yet it gets nothing: its process has ended, so the address may be another's
	Requests int    `json:"requests"`          // in flight
	Streams  int    `json:"streams"`           // open
	// Callers are the clients of the open streams, by address, and how many each has.
	Callers map[string]int `json:"callers,omitempty"`
}

func (p *Proxy) status() Status {
	s := Status{PID: os.Getpid(), Connections: p.conns.count(), Started: p.started, AccessLog: p.access.status()}
	s.Drains, s.Drained = p.drained.read()
	p.mu.Lock()
	s.Version = p.table.Version
	for i, k := range keys(p.table.Listeners) {
		l := ListenerStatus{Listener: p.table.Listeners[i]}
		if d := p.doors[k]; d != nil {
			l.Bound = d.port()
		} else if err := p.missing[k]; err != nil {
			l.Error = err.Error()
		}
		s.Listeners = append(s.Listeners, l)
	}
	s.UDP, s.UDPFlows = p.udpStatus(), int(p.udpFlows.Load())
	p.mu.Unlock()
	for _, u := range p.upstreams() {
		u.pool.mu.Lock()
		s.Upstreams = append(s.Upstreams, UpstreamStatus{
			Upstream: u.Upstream, Pool: u.pool.name, Routed: u.routed, Unknown: !u.known(),
			Requests: u.flights.n[request], Streams: u.flights.n[stream], Callers: u.flights.callers(),
		})
		u.pool.mu.Unlock()
	}
	slices.SortFunc(s.Upstreams, func(a, b UpstreamStatus) int {
		return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Release, b.Release), cmp.Compare(a.Name, b.Name))
	})
	s.Gates = p.gateStates()
	return s
}

// AccessLogStatus tells where the access log goes and how it fares.
type AccessLogStatus struct {
	On      bool   `json:"on"`
	Path    string `json:"path,omitempty"`   // empty: standard output
	Format  string `json:"format,omitempty"` // AccessJSON or AccessCombined
	Query   bool   `json:"query,omitempty"`
	Written int64  `json:"written"` // lines
	Dropped int64  `json:"dropped"` // lines for which there was no room, or that could not be written
}

func (l *accessLog) status() AccessLogStatus {
	if l == nil {
		return AccessLogStatus{}
	}
	return AccessLogStatus{On: true, Path: l.opts.Path, Format: cmp.Or(l.opts.Format, AccessJSON), Query: l.opts.Query,
		Written: l.written.Load(), Dropped: l.dropped.Load()}
}

// drainedAll adds the drains up.
type drainedAll struct {
	mu  sync.Mutex
	n   int64
	sum steady.Drained
}

func (d *drainedAll) add(one steady.Drained) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	d.sum = d.sum.Plus(one)
}

func (d *drainedAll) read() (int64, steady.Drained) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n, d.sum
}
