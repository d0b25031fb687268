package proxy

import (
	"maps"
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// gateStates tells of the gates, by service.
func (p *Proxy) gateStates() []steady.GateStatus {
	var out []steady.GateStatus
	all := p.counts.allGates()
	for _, service := range slices.Sorted(maps.Keys(all)) {
		if s, ok := all[service].status(); ok {
			s.Service = service
			out = append(out, s)
		}
	}
	return out
}

func (g *gate) status() (steady.GateStatus, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := steady.GateStatus{Since: g.since, Shut: g.isShut(), Lapsed: g.lapsed && len(g.shutBy) > 0, Waiting: g.line.Len(), Bytes: g.bytes}
	if s.Shut {
		s.Lease = max(time.Until(g.due), 0)
	}
	return s, s.Shut || s.Lapsed || s.Waiting > 0
}

// renew renews the leases of those of the services whose gate is shut, and names
// them.
func (p *Proxy) renew(services []string) []string {
	shut := []string{}
	all := p.counts.allGates()
	for _, service := range services {
		if g := all[service]; g != nil && g.renew() {
			shut = append(shut, service)
		}
	}
	return shut
}
