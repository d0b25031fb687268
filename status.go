package steady

import "time"

// Status is the state of one project, for a person who asks.
type Status struct {
	Project  string          `json:"project"`
	Services []ServiceStatus `json:"services"`
	Rollout  *Rollout        `json:"rollout,omitempty"` // the one that runs now

	Certificates []CertificateStatus `json:"certificates,omitempty"` // of the hosts of its routes
}

// ServiceStatus is the state of one service.
type ServiceStatus struct {
	Service  string          `json:"service"`
	Release  int             `json:"release"` // serving; 0: none
	Image    string          `json:"image"`
	Digest   string          `json:"digest"` // image ID
	Since    time.Time       `json:"since"`  // release created
	Want     int             `json:"want"`   // replicas asked for
	Ports    []Port          `json:"ports,omitempty"`
	Rules    []Rule          `json:"rules,omitempty"` // what comes by host and path
	Replicas []ReplicaStatus `json:"replicas"`
	Traffic  Counts          `json:"traffic"` // all releases, since the proxy began

	Maintenance *Maintenance `json:"maintenance,omitempty"` // as Shown; nil: the service is open
}

// ReplicaStatus is one container of a service and whether it takes traffic.
type ReplicaStatus struct {
	Replica
	Routed bool `json:"routed"`
}
