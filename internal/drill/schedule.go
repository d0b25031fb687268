package drill

import (
	"context"
	"time"
)

// Schedule is when each request of a load is due: request n at Start + n/Rate.
type Schedule struct {
	Start time.Time
	Rate  float64 // per second
}

func (s Schedule) due(n int) time.Time {
	return s.Start.Add(time.Duration(float64(n) / s.Rate * float64(time.Second)))
}

// late is how far behind its due time a request must be to count as unsent at
// the end: less is the machine's scheduling, more is a want of lanes.
const late = 100 * time.Millisecond

// unsent counts the requests that are late when n were fired.
func (s Schedule) unsent(n int) int {
	behind := time.Since(s.Start) - late
	if behind < 0 {
		return 0
	}
	return max(0, int(behind.Seconds()*s.Rate)+1-n)
}

// Run calls fire for one request after the other, never before it is due, until
// ctx ends or fire answers false. A fire that blocks makes the next ones late,
// not fewer. It answers how many were due but not fired.
func (s Schedule) Run(ctx context.Context, fire func(n int, due time.Time) bool) (unsent int) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := s.due(n)
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return s.unsent(n)
		case <-timer.C:
		}
		if ctx.Err() != nil || !fire(n, due) {
			return s.unsent(n)
		}
	}
}
