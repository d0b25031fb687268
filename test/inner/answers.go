package inner

import "time"

// Found is what a name resolves to.
type Found struct {
	Addrs []string `json:"addrs"`
	Err   string   `json:"err,omitempty"`
}

// What can come of a connect.
const (
	Greeted   = "greeted"
	Refused   = "refused"
	Reset     = "reset"  // taken, then reset
	Silent    = "silent" // no answer within two seconds
	Otherwise = "otherwise"
)

// Dialed is what came of a connect.
type Dialed struct {
	How     string        `json:"how"`
	Release int           `json:"release,omitempty"`
	Took    time.Duration `json:"took"`
	Err     string        `json:"err,omitempty"`
}

// Speed is what one way to a service was measured to do.
type Speed struct {
	Rate     float64       `json:"rate"`     // HTTP requests per second, closed loop
	P50      time.Duration `json:"p50"`      // HTTP at half the slower way's rate, open loop
	P99      time.Duration `json:"p99"`      //
	Bulk     float64       `json:"bulk"`     // MB per second of one TCP connection
	PingPong float64       `json:"pingpong"` // TCP round trips per second of one connection
	RoundP50 time.Duration `json:"round_p50"`
	RoundP99 time.Duration `json:"round_p99"`
	Connect  time.Duration `json:"connect"` // TCP, from the dial to the greeting, median
}
