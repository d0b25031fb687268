package steady

import (
	"fmt"
	"slices"
)

// Route says which replicas of a service take its traffic. It is what is decided
// and stored; addresses are looked up when it is put in force.
type Route struct {
	Project  string   `json:"project"`
	Service  string   `json:"service"`
	Release  int      `json:"release"`            // the serving release
	Replicas []string `json:"replicas,omitempty"` // container names; empty: nobody (503)
	Ports    []Port   `json:"ports,omitempty"`    // published ports; empty for workers
	Sticky   *Sticky  `json:"sticky,omitempty"`   // nil: any replica will do
	Ingress  *Ingress `json:"ingress,omitempty"`  // nil: the default
	Rules    []Rule   `json:"rules,omitempty"`    // what comes by host and path
	Held     bool     `json:"held,omitempty"`     // its names belong to a holder: calls from within the project come through it
	// Redirect: a container that is not ours still publishes the ports. New
	// connections to them are redirected to the proxy until it has gone.
	Redirect bool `json:"redirect,omitempty"`

	Hold   *Hold    `json:"hold,omitempty"`   // shut: what comes waits; Replicas is empty then
	Split  *Split   `json:"split,omitempty"`  // a release is on trial: its share; nil: all replicas are alike
	Elders []string `json:"elders,omitempty"` // replicas of the release before, un-routed, still there
	Assets []string `json:"assets,omitempty"` // paths, "/static/*", that an elder is asked for where the new release answers 404

	Gone bool `json:"gone,omitempty"` // the service leaves: listeners close
}

// Without is the route without those published ports and rules that cannot be served
// beside the other's.
func (r Route) Without(o Route) Route {
	r.Ports = slices.DeleteFunc(slices.Clone(r.Ports), func(p Port) bool {
		return slices.ContainsFunc(o.Ports, p.Meets) ||
			slices.ContainsFunc(o.Rules, func(q Rule) bool { _, meets := q.Listens(p); return meets })
	})
	r.Rules = slices.DeleteFunc(slices.Clone(r.Rules), func(q Rule) bool {
		return slices.ContainsFunc(o.Rules, func(other Rule) bool {
			_, meets := q.Meets(other)
			return meets
		}) || slices.ContainsFunc(o.Ports, func(p Port) bool { _, meets := q.Listens(p); return meets })
	})
	if len(r.Ports) == 0 {
		r.Ports = nil
	}
	if len(r.Rules) == 0 {
		r.Rules = nil
	}
	return r
}

// Meets says whether two published ports cannot be listened on side by side.
func (p Port) Meets(q Port) bool {
	return p.Published > 0 && p.Published == q.Published && p.Transport == q.Transport &&
		(p.HostIP == q.HostIP || p.HostIP == "" || q.HostIP == "")
}

// Table is all that the proxy serves: immutable, swapped whole.
type Table struct {
	Version      int64         `json:"version"` // grows with every table put in force
	Listeners    []Listener    `json:"listeners"`
	Pools        []Pool        `json:"pools"`
	Certificates []Certificate `json:"certificates,omitempty"` // of the hosts of TLS listeners

	Maintenance []Maintenance `json:"maintenance,omitempty"` // those that pools name

	// UDP are the addresses whose datagrams the proxy relays where the kernel does not
	// lead them to a replica itself; their Protocol is UDP.
	UDP []Listener `json:"udp,omitempty"`
}

// Listener is one address the proxy listens on and the pool behind it.
type Listener struct {
	Host     string `json:"host,omitempty"` // empty: all addresses, v4 and v6
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"` // Auto, HTTP or TCP; UDP in Table.UDP
	Pool     string `json:"pool"`     // name of a pool in the same table

	// Holder, "shop/api", makes it the listener in that holder's network
	// namespace, lent to the proxy by name (HolderListener) beforehand; Host, Port
	// and Pool are empty then, and every TCP port comes to it. Arrivals says which
	// pool serves what came to which of the holder's addresses: nothing crosses
	// from one network to another.
	Holder   string            `json:"holder,omitempty"`
	Arrivals map[string]string `json:"arrivals,omitempty"` // address → pool

	// Rules choose the pool by host and path; Pool is empty then.
	Rules []Match `json:"rules,omitempty"`
	TLS   bool    `json:"tls,omitempty"` // it begins with TLS; HTTP/3 is answered at the same port
}

// HolderListener is the name under which a holder's listener is lent.
func HolderListener(ref string) string { return "holder:" + ref }

// Addr is the listener's address as net.Listen takes it.
func (l Listener) Addr() string {
	if len(l.Host) > 0 && l.Host[0] != '[' {
		for i := range l.Host {
			if l.Host[i] == ':' {
				return fmt.Sprintf("[%s]:%d", l.Host, l.Port)
			}
		}
	}
	return fmt.Sprintf("%s:%d", l.Host, l.Port)
}

// Pool is the upstreams of one port of one service.
type Pool struct {
	Name      string     `json:"name"` // "shop/api:8000", see PoolName, or "shop/api@net", see InnerPoolName
	Upstreams []Upstream `json:"upstreams"`

	Sticky      *Sticky  `json:"sticky,omitempty"`
	Ingress     *Ingress `json:"ingress,omitempty"`     // nil: the default
	Maintenance string   `json:"maintenance,omitempty"` // Ref of one in the same table; empty: none

	Hold   *Hold      `json:"hold,omitempty"`
	Split  *Split     `json:"split,omitempty"`
	Elders []Upstream `json:"elders,omitempty"` // take no traffic but what Assets gives them
	Assets []string   `json:"assets,omitempty"`
}

// PoolName names the pool of a service's container port.
func PoolName(project, service string, target uint16) string {
	return fmt.Sprintf("%s/%s:%d", project, service, target)
}

// InnerPoolName names the pool that serves calls to a service within one network.
// Its upstreams' Addr has no port: the port is the one the client meant.
func InnerPoolName(project, service, network string) string {
	return fmt.Sprintf("%s/%s@%s", project, service, network)
}

// Upstream is one address of one replica.
type Upstream struct {
	ID      string `json:"id"`   // container ID; one transport each, as addresses are reused
	Name    string `json:"name"` // container name, for people
	Addr    string `json:"addr"` // "10.0.0.3:8000"; in an inner pool "10.0.0.3"
	Release int    `json:"release"`
	// Process is the container's; zero where whoever made the table could not tell.
	Process Process `json:"process,omitzero"`
}
