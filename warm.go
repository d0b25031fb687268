package steady

import "time"

// Warm is the older release of a service whose replicas are kept running, un-routed,
// so that a rollback has only to shift. There is one for a service at most.
type Warm struct {
	Project string    `json:"project"`
	Service string    `json:"service"`
	Release int       `json:"release"`
	Until   time.Time `json:"until"` // then its replicas are drained, stopped and removed
}
