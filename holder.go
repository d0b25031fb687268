package steady

import "time"

// LabelHolder is on a holder's container: the service it holds for.
const LabelHolder = "ch.gesalpai.steady.holder"

// HolderPort is where the one listener of a holder's network namespace listens; a
// redirect rule there brings every TCP port to it.
const HolderPort = 15001

// Holder is the container that owns a service's address and names in the
// project's networks. It does nothing but hold the network namespace; no rollout
// replaces it.
type Holder struct {
	Project   string            `json:"project"`
	Service   string            `json:"service"`
	ID        string            `json:"id"`
	Name      string            `json:"name"` // of the container
	PID       int               `json:"pid"`  // on the host; 0: it does not run
	Started   time.Time         `json:"started"`
	Addresses map[string]string `json:"addresses"` // network name → its IPv4 address there
	Networks  []string          `json:"-"`         // names of those it is in, sorted
}

// Ref names the service that it holds for, "shop/api".
func (h Holder) Ref() string { return h.Project + "/" + h.Service }

// HolderName is the name of the container that holds a service's names. A replica's
// ends with a number, so they never meet.
func HolderName(project, service string) string { return project + "-" + service + "-steady" }

// Held says whether the service's names belong to a holder, and else why not.
func (s Spec) Held() (bool, string) {
	switch {
	case s.Internal == InternalOff:
		return false, "x-steady.internal is off"
	case s.NetworkMode != "":
		return false, "network_mode: " + s.NetworkMode
	case len(s.Networks) == 0:
		return false, "it joins no network"
	case s.Job:
		return false, "a job is not called"
	}
	for _, n := range s.Networks {
		if d := n.driver(); d != "" && d != "bridge" {
			return false, "network " + n.Key + " has driver " + d
		}
	}
	return true, ""
}
