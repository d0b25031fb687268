package steady

import "time"

// Flow is what the proxy measures of one release of one service.
type Flow struct {
	Counts  Counts        `json:"counts"`  // since the proxy began
	Classes [6]int64      `json:"classes"` // the app's answers since then, by the first digit of their status; streams included
	Took    Latencies     `json:"took"`    // of the app's answers since then, streams left out
	Sum     time.Duration `json:"sum"`     // of all that Took counts
	Open    Open          `json:"open"`    // now
	Routed  bool          `json:"routed"`  // it takes traffic, by the table in force
	Minute  Span          `json:"minute"`  // the last minute, or as much of it as there was
	Lately  Span          `json:"lately"`  // the last seconds: 5 to 10

	// Waits are how long those waited who were held at the service's gate, whatever
	// became of them, and LongestWait the longest of them, since the proxy began.
	// They are release 0's, as nobody knows yet who will answer.
	Waits       Latencies     `json:"waits,omitempty"`
	Waited      time.Duration `json:"waited,omitempty"` // the sum of all that Waits counts
	LongestWait time.Duration `json:"longest_wait,omitempty"`
}

// Flows is every flow by service and release, as Traffic.
type Flows map[string]map[int]Flow

// Open is what is in flight at one moment.
type Open struct {
	Requests int `json:"requests"`
	Streams  int `json:"streams"`
}

// Plus adds two.
func (o Open) Plus(p Open) Open { return Open{o.Requests + p.Requests, o.Streams + p.Streams} }

// Span is what was counted within a span of time.
type Span struct {
	For    time.Duration `json:"for"`
	Counts Counts        `json:"counts"`
	Took   Latencies     `json:"took"`
}

// Plus is both spans together, of releases side by side or one after the other:
// counts add up, and the longer one is how long it was.
func (s Span) Plus(o Span) Span {
	return Span{For: max(s.For, o.For), Counts: s.Counts.Plus(o.Counts), Took: s.Took.Plus(o.Took)}
}

// Pace says a span in a person's figures.
func (s Span) Pace() Pace {
	p := Pace{
		For: s.For, Requests: s.Counts.Requests, Errors: s.Counts.Errors + s.Counts.Lost,
		P50: s.Took.Quantile(0.50), P99: s.Took.Quantile(0.99),
	}
	if s.For > 0 {
		p.PerSecond = float64(s.Counts.Requests) / s.For.Seconds()
	}
	return p
}

// Pace is how busy a service was in a span of time.
type Pace struct {
	For       time.Duration `json:"for"`
	Requests  int64         `json:"requests"`
	PerSecond float64       `json:"per_second"` // requests
	Errors    int64         `json:"errors"`     // answers with status ≥ 500, the app's and our own, and those broken off
	P50       time.Duration `json:"p50"`        // from the request's head to the answer's end; 0: nothing was answered
	P99       time.Duration `json:"p99"`
}

// Of is the flow of a service over all its releases.
func (f Flows) Of(service string) Flow {
	var all Flow
	for _, one := range f[service] {
		all.Counts = all.Counts.Plus(one.Counts)
		for i, n := range one.Classes {
			all.Classes[i] += n
		}
		all.Took = all.Took.Plus(one.Took)
		all.Sum += one.Sum
		all.Waits = all.Waits.Plus(one.Waits)
		all.Waited += one.Waited
		all.LongestWait = max(all.LongestWait, one.LongestWait)
		all.Open = all.Open.Plus(one.Open)
		all.Routed = all.Routed || one.Routed
		all.Minute = all.Minute.Plus(one.Minute)
		all.Lately = all.Lately.Plus(one.Lately)
	}
	return all
}
