package steady

import "time"

// LastTime is how the last rollout of a service went that was done and had the
// same strategy. What was not measured is 0.
type LastTime struct {
	Rollout     int64         `json:"rollout"`
	Ended       time.Time     `json:"ended"`
	Ready       time.Duration `json:"ready,omitempty"`        // longest from a new replica's start until it was ready
	Gap         time.Duration `json:"gap,omitempty"`          // how long nothing of it took traffic
	LongestWait time.Duration `json:"longest_wait,omitempty"` // of what was held meanwhile
	Held        int64         `json:"held,omitempty"`         // how many waited
	Losses      Losses        `json:"losses"`
	Missed      bool          `json:"missed,omitempty"` // Losses are not all that there may have been
}

// LastTime is the service's part of the receipt, for the next plan.
func (r Receipt) LastTime(service string) LastTime {
	s, _ := r.Of(service)
	return LastTime{Rollout: r.Rollout, Ended: r.Ended, Ready: s.Ready, Gap: s.Gap,
		LongestWait: s.Answered().LongestWait, Held: s.All().Held, Losses: s.Losses(), Missed: len(r.Missed) > 0}
}
