package steady

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// ReachOff in Probe.Reach puts a release in force whether or not its published and
// routed ports accept connections.
const ReachOff = "off"

// Reach is what a replica must accept connections on before it takes traffic.
type Reach struct {
	Ways   []Way         `json:"ways"`
	One    bool          `json:"one,omitempty"`    // at least one of the ways must accept, whichever it is
	Within time.Duration `json:"within,omitempty"` // how long the replica may take; set when it is asked
}

// Way is one way by which visitors come to a service: a published port, or a host and
// path.
type Way struct {
	Name      string `json:"name"`           // the same in every release that has it: "port 8000", "port 127.0.0.1:53/udp", "api.example.ch/v1"
	Target    uint16 `json:"target"`         // port in the container
	Transport string `json:"transport"`      // tcp or udp
	Need      string `json:"need,omitempty"` // NeedMust, NeedHoped, or empty: it is asked once
	Part      bool   `json:"part,omitempty"` // of a range of ports, which apps often open on demand
}

// Needs of a Way.
const (
	NeedMust  = "must"  // without it the release is not put in force
	NeedHoped = "hoped" // the replica gets HopedFor to open it
)

// HopedFor is how long a replica that is ready otherwise gets to open the ports that
// it need not have.
const HopedFor = 5 * time.Second

// longestList is how many consecutive published ports are taken for ports that each
// mean something; more are a range, as for passive FTP or RTP.
const longestList = 4

// Ways lists the ways that lead to the ports and rules of a service, each once.
func Ways(ports []Port, rules []Rule) []Way {
	var out []Way
	seen := map[string]bool{}
	add := func(w Way) {
		if !seen[w.Name] {
			seen[w.Name] = true
			out = append(out, w)
		}
	}
	for _, p := range ports {
		transport := "tcp"
		if p.Transport == "udp" {
			transport = "udp"
		}
		add(Way{Name: p.name(), Target: p.Target, Transport: transport, Part: inRange(p, ports)})
	}
	for _, r := range rules {
		add(Way{Name: r.Name(), Target: r.Port, Transport: "tcp"})
	}
	return out
}

// name is how a person knows the published port.
func (p Port) name() string {
	suffix := ""
	if p.Transport == "udp" {
		suffix = "/udp"
	}
	if p.Published == 0 {
		return fmt.Sprintf("container port %d%s", p.Target, suffix)
	}
	at := strconv.Itoa(int(p.Published))
	if ip, err := netip.ParseAddr(p.HostIP); err == nil && !ip.IsUnspecified() {
		at = netip.AddrPortFrom(ip, p.Published).String()
	}
	return "port " + at + suffix
}

// inRange says whether more than longestList consecutive ports are published around p.
func inRange(p Port, all []Port) bool {
	published := map[uint16]bool{}
	for _, o := range all {
		if o.HostIP == p.HostIP && o.Transport == p.Transport && o.Published > 0 {
			published[o.Published] = true
		}
	}
	n := 0
	for port := p.Published; published[port]; port++ {
		n++
	}
	for port := p.Published - 1; published[port]; port-- {
		n++
	}
	return n > longestList
}

// Reached is what came of asking a replica for its Reach.
type Reached struct {
	Accepts []Way    // of those asked
	Silent  []string // why others do not, one sentence's end each: "port 9229: nothing listens on 9229"
	Took    time.Duration
}
