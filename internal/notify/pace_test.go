package notify

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// The pace doubles up to five minutes, and ends after a day.
func TestAttempted_GivesUpAfterADay(t *testing.T) {
	made := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	d, now := steady.Delivery{Made: made, Due: made}, made
	var pauses []time.Duration
	for d.Ended.IsZero() {
		d = attempted(d, errors.New("no"), now)
		if d.Ended.IsZero() {
			pauses = append(pauses, d.Due.Sub(now))
			now = d.Due
		}
	}
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
		if pauses[i] != want {
			t.Errorf("pause %d is %s, want %s", i+1, pauses[i], want)
		}
	}
	if last := pauses[len(pauses)-1]; last != 5*time.Minute || d.Ended.Sub(made) < 24*time.Hour || d.Ended.Sub(made) > 24*time.Hour+6*time.Minute || d.Delivered() {
		t.Errorf("last pause %s, ended after %s, %+v", last, d.Ended.Sub(made), d)
	}
}

// late is an outbox that tells what was so before a try ended.
type late struct {
	Outbox
	told func()
}

func (l late) Waiting(context.Context) ([]steady.Delivery, error) {
	l.told()
	return []steady.Delivery{{ID: 1, Receiver: steady.Receiver{Slack: "http://127.0.0.1:1"}}}, nil
}

// What ends while the outbox is being read is not sent again.
func TestRound_BelievesTheOutboxOnlyOfReceiversThatAreFree(t *testing.T) {
	tried := false
	n := New(nil, nil, func(string) { tried = true }, slog.New(slog.DiscardHandler))
	key := "\x00" + address(steady.Receiver{Slack: "http://127.0.0.1:1"})
	n.busy[key] = true
	n.Outbox = late{told: func() { n.free(key) }}
	var senders sync.WaitGroup
	n.round(t.Context(), &senders)
	senders.Wait()
	if tried {
		t.Error("it was tried again")
	}
	if len(n.wake) == 0 {
		t.Error("no round follows")
	}
}
