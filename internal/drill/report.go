package drill

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// listed is how many losses a report lists.
const listed = 20

// record is one request that has ended.
type record struct {
	due    time.Duration // since the volley's start
	took   time.Duration // from when it was due
	status int
	lost   bool
	phase  Phase
}

func (r record) done() time.Duration { return r.due + r.took }

// Loss is one request that was lost.
type Loss struct {
	At    time.Duration `json:"at"` // when it was due, since the volley's start
	ID    string        `json:"id"`
	Phase Phase         `json:"phase"`
	Err   string        `json:"err"`
}

func (l Loss) String() string { return l.Phase.String() + ": " + l.Err }

// Report is what a volley counted. Durations are nanoseconds in JSON.
type Report struct {
	Rate        float64   `json:"rate"` // per second
	Started     time.Time `json:"started"`
	Before      Span      `json:"before"`
	During      Span      `json:"during"`
	After       Span      `json:"after"`
	All         Span      `json:"all"`
	Unsent      int       `json:"unsent"` // due, but not begun: too many were in flight
	Connections int       `json:"connections"`
	Dropped     int       `json:"dropped"` // idle connections whose end was seen before they were used again: no loss
	Losses      []Loss    `json:"losses,omitempty"`
}

// Span is what became of the requests that were due in some part of the volley.
type Span struct {
	For      time.Duration  `json:"for"`
	Sent     int            `json:"sent"`
	Answered int            `json:"answered"` // whole, with a status below 500
	Lost     int            `json:"lost"`
	Phases   map[string]int `json:"phases,omitempty"`  // of the lost
	Classes  map[string]int `json:"classes,omitempty"` // of whole answers: "2xx"
	P50      time.Duration  `json:"p50"`               // of the answered, from when they were due to the last byte
	P99      time.Duration  `json:"p99"`
	Longest  time.Duration  `json:"longest"`
	// Pause is the longest time in which nothing was answered at all.
	Pause time.Duration `json:"pause"`
}

// Report is the volley's, which has ended, with the time between from and to told
// apart.
func (v *Volley) Report(from, to time.Time) Report {
	v.mu.Lock()
	defer v.mu.Unlock()
	records := slices.SortedFunc(slices.Values(v.records), func(a, b record) int { return cmp.Compare(a.due, b.due) })
	slices.SortFunc(v.losses, func(a, b Loss) int { return cmp.Compare(a.At, b.At) })
	end := time.Duration(0)
	for _, r := range records {
		end = max(end, r.done())
	}
	begun, over := from.Sub(v.started), min(to.Sub(v.started), end)
	return Report{
		Rate: v.load.Rate, Started: v.started, Unsent: v.unsent, Connections: v.opened, Dropped: v.dropped,
		Before: span(records, 0, begun), During: span(records, begun, over), After: span(records, over, end+1), All: span(records, 0, end+1),
		Losses: v.losses[:min(listed, len(v.losses))],
	}
}

// span counts the records due from one time to before another.
func span(records []record, from, to time.Duration) Span {
	s := Span{For: max(to-from, 0), Phases: map[string]int{}, Classes: map[string]int{}}
	var took []time.Duration
	for _, r := range records {
		if r.due < from || r.due >= to {
			continue
		}
		s.Sent++
		if r.status > 0 && (!r.lost || r.phase == Status || r.phase == Wrong) {
			s.Classes[fmt.Sprintf("%dxx", r.status/100)]++
		}
		if r.lost {
			s.Lost++
			s.Phases[r.phase.String()]++
			continue
		}
		s.Answered++
		took = append(took, r.took)
	}
	slices.Sort(took)
	s.P50, s.P99, s.Longest = quantile(took, 0.50), quantile(took, 0.99), quantile(took, 1)
	s.Pause = pause(records, from, to)
	return s
}

// quantile is the smallest of the sorted durations that a share q is not above.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// pause is the longest part of the time in which no answer was completed; where all
// is well, no more than a few of the load's intervals.
func pause(records []record, from, to time.Duration) time.Duration {
	var at []time.Duration
	for _, r := range records {
		if !r.lost && r.done() > from && r.done() < to {
			at = append(at, r.done())
		}
	}
	slices.Sort(at)
	longest, last := time.Duration(0), from
	for _, t := range append(at, to) {
		longest, last = max(longest, t-last), t
	}
	return longest
}

// Verdict says in a sentence what the volley shows: nothing lost of n is below 3/n
// with 95 % confidence (the rule of three).
func (r Report) Verdict() string {
	n := r.All.Sent
	switch {
	case n == 0:
		return "nothing was sent: it shows nothing"
	case r.All.Lost > 0:
		return fmt.Sprintf("%d of %d lost (%.2g %%)", r.All.Lost, n, 100*float64(r.All.Lost)/float64(n))
	case r.Unsent > 0:
		return fmt.Sprintf("0 of %d lost, but %d could not be sent as too many were waiting", n, r.Unsent)
	}
	return fmt.Sprintf("0 of %d lost: with 95 %% confidence fewer than 1 in %d", n, max(n/3, 1))
}
