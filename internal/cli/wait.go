package cli

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// How often somebody who waits for a lease looks what it waits for, and how often a
// log without a terminal is told the same again.
const (
	lookAtLock  = time.Second
	repeatAfter = 30 * time.Second
)

// tellWaiting tells what is waited for until stop is called: who is in the way, at
// which step, and how long this command line still waits.
func (s *session) tellWaiting(ctx context.Context) (stop func()) {
	if s.await == nil || s.json() || s.progress() == progressQuiet {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() {
		line := waitLine{session: s, live: s.progress() == progressTTY}
		defer line.clear()
		t := time.NewTicker(lookAtLock)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
			if got, err := s.backend().Leases(ctx, s.await.project); err == nil {
				line.tell(got, s.await.ticket, time.Now())
			}
		}
	})
	return func() { cancel(); told.Wait() }
}

// waitLine is the line that tells it: rewritten on a terminal, else written when it
// says something new, or after a while.
type waitLine struct {
	session *session
	live    bool
	last    string
	at      time.Time
}

func (w *waitLine) tell(all steady.Leases, ticket string, now time.Time) {
	i := slices.IndexFunc(all.Waiting, func(x steady.Waiter) bool { return x.Ticket == ticket })
	if i < 0 {
		return
	}
	me := all.Waiting[i]
	text := fmt.Sprintf("waiting for %s, %s left", printable(me.For), left(me.Until.Sub(now)))
	switch {
	case w.live:
		fmt.Fprint(w.session.err, "\r\x1b[Ksteady: "+text)
	case me.For != w.last || now.Sub(w.at) >= repeatAfter:
		w.session.say(text)
		w.at = now
	}
	w.last = me.For
}

// clear leaves the terminal's line empty.
func (w *waitLine) clear() {
	if w.live && w.last != "" {
		fmt.Fprint(w.session.err, "\r\x1b[K")
	}
}

// left is a time that runs out, to the second: 1m12s.
func left(d time.Duration) string {
	if d = d.Round(time.Second); d > 0 {
		return span(d)
	}
	return "0s"
}
