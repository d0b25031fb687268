package steady

import "time"

// Watch says what a watch window asks of a new release. Its traffic is judged
// against that of the release before: see Trial.
type Watch struct {
	// Errors is the share of requests, from 0 to 1, that may fail: answered with a
	// status of 500 and above, or lost. Below 0: errors are not judged.
	Errors float64 `json:"errors"`
	// Said: Errors stands in the file, so that it holds also where too little is
	// known of the release before.
	Said bool `json:"said,omitempty"`
	// Latency is how many times slower than the release before the new one may be.
	// 0: latency is not judged.
	Latency float64 `json:"latency"`
	// After is how long from the shift latency is not judged: the first answers of a
	// process that has just begun are slow.
	After time.Duration `json:"after"`
	// Deaths is the share of the replicas, from 0 to 1, that may die.
	Deaths float64 `json:"deaths,omitempty"`
}

// What is asked of a new release where the files are silent. One per cent of errors
// is what gates of others begin with (Flagger: a success rate of 99 %).
const (
	DefaultWatchErrors  = 0.01
	DefaultWatchLatency = 2.0
	DefaultWatchAfter   = 500 * time.Millisecond
)

// DefaultWatchWindow is update_config.monitor where the file is silent about it but
// says what shall happen in it: Swarm's own default.
const DefaultWatchWindow = 5 * time.Second

// DefaultWatch is the watch of a file that says nothing of it.
func DefaultWatch() Watch {
	return Watch{Errors: DefaultWatchErrors, Latency: DefaultWatchLatency, After: DefaultWatchAfter}
}
