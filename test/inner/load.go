package inner

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// again is the least time between two connects of one long client, so that a
// server that ends each at once is not stormed.
const again = 50 * time.Millisecond

// Clients call one address. Every run is bounded by its context.
type Clients struct {
	Addr    string // "svc:7000"
	Timeout time.Duration
}

// Long keeps n connections, each asking every so often, and opens another where
// one ended, until ctx ends.
func (c Clients) Long(ctx context.Context, t *Tally, n int, every time.Duration) {
	var wg sync.WaitGroup
	for lane := range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				next := time.NewTimer(again)
				c.stay(ctx, t, fmt.Sprintf("ECHO long-%d", lane), every)
				select {
				case <-next.C:
				case <-ctx.Done():
				}
			}
		})
	}
	wg.Wait()
}

// stay asks on one connection until it ends or ctx does.
func (c Clients) stay(ctx context.Context, t *Tally, text string, every time.Duration) {
	s := c.open(t)
	if s == nil {
		return
	}
	defer s.Close()
	opened := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		err := s.Ask(fmt.Sprintf("%s-%d", text, n))
		t.Asked(err)
		if err != nil {
			t.Ended(opened, s.Release, true, err)
			return
		}
		if err := s.Quiet(every); err != nil {
			t.Ended(opened, s.Release, false, err)
			return
		}
	}
	_ = s.Quit() // at the end of the run nothing is counted any more
}

func (c Clients) open(t *Tally) *Session {
	floor, began := t.Connecting(), time.Now()
	// Not the run's context: a connect that is under way at its end may end well.
	s, err := Open(context.Background(), c.Addr, c.Timeout)
	if err != nil {
		t.Failed(err)
		return nil
	}
	t.Connected(s.Release, floor, time.Since(began))
	return s
}

// Short opens a connection for each question, rate a second, whatever the server
// does: open loop. At most lanes at once; what finds none is unsent.
func (c Clients) Short(ctx context.Context, t *Tally, rate float64, lanes int) {
	var wg sync.WaitGroup
	defer wg.Wait()
	free := make(chan struct{}, lanes)
	start := time.Now()
	for n := 0; ; n++ {
		due := time.NewTimer(time.Until(start.Add(time.Duration(float64(n) / rate * float64(time.Second)))))
		select {
		case <-due.C:
		case <-ctx.Done():
			due.Stop()
			return
		}
		select {
		case free <- struct{}{}:
			wg.Go(func() {
				defer func() { <-free }()
				c.once(t, fmt.Sprintf("ECHO short-%d", n))
			})
		default:
			t.Unsent(1)
		}
	}
}

func (c Clients) once(t *Tally, text string) {
	s := c.open(t)
	if s == nil {
		return
	}
	defer s.Close()
	began, doing := time.Now(), "ask"
	err := s.Ask(text)
	if err == nil {
		doing = "quit"
		err = s.Quit()
	}
	t.Asked(err)
	if err != nil {
		t.Error(fmt.Errorf("%s of release %d, %s after the greeting: %w", doing, s.Release, time.Since(began).Round(time.Millisecond), err))
	}
}
