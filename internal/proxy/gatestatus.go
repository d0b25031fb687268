package proxy

import (
	"maps"
	"slices"
	"time"
)

// GateStatus is a service's gate that is shut, or has not let all go yet.
type GateStatus struct {
	Service string        `json:"service"` // "shop/db"
	Since   time.Time     `json:"since"`   // when it was shut
	Shut    bool          `json:"shut"`    // false: those who waited are being let go
	Lapsed  bool          `json:"lapsed"`  // it opened by itself, as nobody had renewed its lease
	Waiting int           `json:"waiting"` // requests and connections
	Bytes   int64         `json:"bytes"`   // of bodies in memory meanwhile
	Lease   time.Duration `json:"lease"`   // until it opens by itself; 0: it is open
}

// gateStates tells of the gates, by service.
func (p *Proxy) gateStates() []GateStatus {
	var out []GateStatus
	all := p.counts.allGates()
	for _, service := range slices.Sorted(maps.Keys(all)) {
		if s, ok := all[service].status(); ok {
			s.Service = service
			out = append(out, s)
		}
	}
	return out
}

func (g *gate) status() (GateStatus, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := GateStatus{Since: g.since, Shut: g.isShut(), Lapsed: g.lapsed && len(g.shutBy) > 0, Waiting: g.line.Len(), Bytes: g.bytes}
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
