package steady

import "time"

// Status is the state of one project, for a person who asks.
type Status struct {
	Project  string          `json:"project"`
	Services []ServiceStatus `json:"services"`
	Rollout  *Rollout        `json:"rollout,omitempty"`  // the one that runs now
	Unstored []Rollout       `json:"unstored,omitempty"` // rollouts that the store does not have as they are: see Rollout.Unstored
	Unknown  []string        `json:"unknown,omitempty"`  // what could not be asked, and why: its figures are 0

	Locks        []Lease             `json:"locks,omitempty"`        // of persons
	Certificates []CertificateStatus `json:"certificates,omitempty"` // of the hosts of its routes
}

// ServiceStatus is the state of one service.
type ServiceStatus struct {
	Service  string          `json:"service"`
	Orphan   bool            `json:"orphan,omitempty"` // it was not in the Compose files of the last deploy
	Release  int             `json:"release"`          // serving; 0: none
	Image    string          `json:"image"`
	Digest   string          `json:"digest"`        // image ID
	Since    time.Time       `json:"since"`         // release created
	Done     time.Time       `json:"done,omitzero"` // when it had run to its end, with exit code 0; zero: it is no service that runs once
	Want     int             `json:"want"`          // replicas asked for
	Ports    []Port          `json:"ports,omitempty"`
	Rules    []Rule          `json:"rules,omitempty"` // what comes by host and path
	Replicas []ReplicaStatus `json:"replicas"`
	Traffic  Counts          `json:"traffic"` // all releases, since the proxy began
	Open     Open            `json:"open"`    // all releases, now
	Minute   Pace            `json:"minute"`  // all releases, in the last minute
	Lately   Pace            `json:"lately"`  // all releases, in the last 5 to 10 s
	Restart  string          `json:"restart"` // restart policy: no, always, on-failure[:n], unless-stopped

	Warm *Warm `json:"warm,omitempty"` // the older release that is kept running; nil: none is

	Maintenance *Maintenance `json:"maintenance,omitempty"` // as Shown; nil: the service is open
	Gate        *GateStatus  `json:"gate,omitempty"`        // nil: nobody is held
}

// ReplicaStatus is one container of a service and whether it takes traffic.
type ReplicaStatus struct {
	Replica
	Routed bool   `json:"routed"`          // the proxy's table has it and it is known to live; of a service that nothing comes to through the proxy: it runs and serves
	Open   Open   `json:"open"`            // in flight now
	Usage  *Usage `json:"usage,omitempty"` // nil: it does not run, or the Engine did not say
}
