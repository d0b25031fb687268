package steady

import "time"

// Series is a rollout's traffic over time. Its stretches follow each other; they
// are longer where the rollout was long, or where nobody asked the proxy.
type Series struct {
	From  time.Time       `json:"from"`  // where the first stretch begins
	Until []time.Duration `json:"until"` // where each ends, since From
	Lines []Line          `json:"lines"`
}

// Line is one release of one service over the stretches of a series.
type Line struct {
	Service  string  `json:"service"`
	Release  int     `json:"release"`
	Requests []int64 `json:"requests"`
	Errors   []int64 `json:"errors"` // status ≥ 500, the app's and our own, and those broken off
	P50      []int64 `json:"p50"`    // microseconds; 0: nothing was answered
	P99      []int64 `json:"p99"`
	Open     []int   `json:"open"` // requests and streams in flight at the end of each
}
