// Package metrics tells Prometheus, and whoever asks for health, what the daemon
// and the proxy know. Nothing of it holds an environment value, a path or an
// address of a client.
package metrics

import (
	"time"

	"gesalpai.ch/steady"
)

// Snapshot is what is known at one moment. What could not be asked is missing.
type Snapshot struct {
	Engine   bool // the Docker Engine answered
	Proxy    *Proxy
	Flows    steady.Flows
	Services []Service
	Running  map[string]int // rollouts under way by project, 0 included
	Restarts int64          // of the proxy, as the daemon saw them since it began
}

// Service is one service that has a route.
type Service struct {
	Project string
	Seen    bool // the Engine told of its replicas
	steady.ServiceStatus
}

// Proxy is the proxy itself.
type Proxy struct {
	Started     time.Time
	Connections int // of clients, open
	Drains      int64
	Drained     steady.Drained
	LogWritten  int64 // lines of the access log
	LogDropped  int64
}
