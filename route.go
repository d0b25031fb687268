package steady

import "fmt"

// Route says which replicas of a service take its traffic. It is what is decided
// and stored; addresses are looked up when it is put in force.
type Route struct {
	Project  string   `json:"project"`
	Service  string   `json:"service"`
	Release  int      `json:"release"`            // the serving release
	Replicas []string `json:"replicas,omitempty"` // container names; empty: nobody (503)
	Ports    []Port   `json:"ports,omitempty"`    // published ports; empty for workers
	Gone     bool     `json:"gone,omitempty"`     // the service leaves: listeners close
}

// Table is all that the proxy serves: immutable, swapped whole.
type Table struct {
	Version   int64      `json:"version"` // grows with every table put in force
	Listeners []Listener `json:"listeners"`
	Pools     []Pool     `json:"pools"`
}

// Listener is one address the proxy listens on and the pool behind it.
type Listener struct {
	Host     string `json:"host,omitempty"` // empty: all addresses, v4 and v6
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"` // Auto, HTTP or TCP
	Pool     string `json:"pool"`     // name of a pool in the same table
}

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
	Name      string     `json:"name"` // "shop/api:8000", see PoolName
	Upstreams []Upstream `json:"upstreams"`
}

// PoolName names the pool of a service's container port.
func PoolName(project, service string, target uint16) string {
	return fmt.Sprintf("%s/%s:%d", project, service, target)
}

// Upstream is one address of one replica.
type Upstream struct {
	ID      string `json:"id"`   // container ID; one transport each, as addresses are reused
	Name    string `json:"name"` // container name, for people
	Addr    string `json:"addr"` // "10.0.0.3:8000"
	Release int    `json:"release"`
}
