// Package notify tells receivers of rollouts: webhooks, Slack and commands. What is
// to be told is written down first and sent in the background, again and again for a
// day, so that neither a dead receiver nor a restart of the daemon loses it, and no
// rollout waits for either.
package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// The pace of tries: at once, then after 1 s, 2 s, 4 s … at most every 5 minutes,
// for a day.
const (
	firstPause = time.Second
	mostPause  = 5 * time.Minute
	giveUp     = 24 * time.Hour
)

// Outbox keeps what is to be told. Every call is on disk when it returns.
type Outbox interface {
	// Receivers lists those of a project.
	Receivers(ctx context.Context, project string) ([]steady.Receiver, error)
	// Enqueue writes deliveries down and sets their IDs.
	Enqueue(ctx context.Context, ds []steady.Delivery) error
	// Waiting lists what is on its way, oldest first.
	Waiting(ctx context.Context) ([]steady.Delivery, error)
	// Attempted stores Tries, Due, Ended and Error.
	Attempted(ctx context.Context, d steady.Delivery) error
}

// Host runs commands on this machine: see rollout.Host.
type Host interface {
	Run(ctx context.Context, dir string, argv, env []string, stdin io.Reader, say func(string)) (int, error)
}

// Notifier tells receivers. Its methods may be called from several goroutines.
type Notifier struct {
	Outbox Outbox
	Host   Host
	Log    *slog.Logger
	Tried  func(outcome string) // is told each try: delivered, failed or given-up

	client *http.Client
	wake   chan struct{}

	keeping sync.Mutex // over what is written of unkept and outcomes

	mu       sync.Mutex
	busy     map[string]bool           // receivers that are being told something
	unkept   []steady.Delivery         // that the outbox could not take yet
	outcomes map[int64]steady.Delivery // of tries that the outbox could not take yet
}

// New makes a notifier; it sends nothing before Run.
func New(outbox Outbox, host Host, tried func(string), log *slog.Logger) *Notifier {
	return &Notifier{Outbox: outbox, Host: host, Log: log, Tried: tried, client: newClient(), wake: make(chan struct{}, 1), busy: map[string]bool{}, outcomes: map[int64]steady.Delivery{}}
}

// Tell writes down what a rollout's event is to tell, if anything, and returns: the
// rollout goes on. What cannot be written down is kept in memory until it can.
func (n *Notifier) Tell(ctx context.Context, r steady.Rollout, e steady.Event) {
	what := notice(e)
	if what == "" {
		return
	}
	receivers, err := n.Outbox.Receivers(ctx, r.Project)
	if err != nil {
		n.Log.Error("notification lost", "project", r.Project, "rollout", r.ID, "event", what, "err", err)
		return
	}
	ds, err := deliveries(r.Project, receivers, messageOf(r, what))
	if err != nil {
		n.Log.Error("notification lost", "project", r.Project, "rollout", r.ID, "event", what, "err", err)
		return
	}
	if len(ds) > 0 {
		n.enqueue(ctx, ds)
	}
	n.nudge()
}

// deliveries makes one for each receiver that wants the message.
func deliveries(project string, receivers []steady.Receiver, m message) ([]steady.Delivery, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write the message: %w", err)
	}
	now := time.Now().UTC()
	var out []steady.Delivery
	for _, r := range receivers {
		if m.Rollout == 0 || r.Wants(m.Notice) {
			out = append(out, steady.Delivery{Project: project, Rollout: m.Rollout, Notice: m.Notice, Receiver: r, Name: r.Name(), Body: body, Made: now, Due: now})
		}
	}
	return out, nil
}

// Test tells the receivers a test, at once and once, and gives what came of it. It
// is not kept.
func (n *Notifier) Test(ctx context.Context, project string, receivers []steady.Receiver) ([]steady.Delivery, error) {
	ds, err := deliveries(project, receivers, testMessage(project))
	if err != nil {
		return nil, err
	}
	var all sync.WaitGroup
	for i := range ds {
		all.Go(func() {
			ds[i].Tries = 1
			if err := n.send(ctx, ds[i]); err != nil {
				ds[i].Error = err.Error()
			}
			ds[i].Ended, ds[i].Due = time.Now().UTC(), time.Time{}
		})
	}
	all.Wait()
	return ds, nil
}

// Run sends what is waiting, and what comes, until ctx ends. A receiver is told one
// thing at a time, in order; one that is slow keeps back no other.
func (n *Notifier) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	defer senders.Wait()
	for {
		pause := n.round(ctx, &senders)
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return nil
		case <-n.wake:
		case <-again.C:
		}
		again.Stop()
	}
}

// round begins a try for each receiver whose oldest message is due, and says how
// long to wait for the next.
func (n *Notifier) round(ctx context.Context, senders *sync.WaitGroup) time.Duration {
	pause := mostPause
	if n.keep(ctx) != nil { // it was said
		pause = keepAgain
	}
	seen := n.occupied() // before reading: of these the outbox may tell what is over by now
	waiting, err := n.Outbox.Waiting(ctx)
	if err != nil {
		if ctx.Err() == nil {
			n.Log.Error("read the outbox", "err", err)
		}
		return mostPause
	}
	for _, d := range waiting {
		d, open := n.asTried(d)
		if !open {
			continue
		}
		key := d.Project + "\x00" + address(d.Receiver)
		if seen[key] {
			continue
		}
		seen[key] = true
		if wait := time.Until(d.Due); wait > 0 {
			pause = min(pause, wait)
			continue
		}
		n.occupy(key)
		senders.Go(func() {
			n.try(ctx, d)
			n.free(key)
		})
	}
	return pause
}

// address tells receivers apart.
func address(r steady.Receiver) string {
	return fmt.Sprintf("%s\x00%s\x00%q", r.Webhook, r.Slack, r.Command)
}

// occupied are the receivers that are being told something. Only round adds to them.
func (n *Notifier) occupied() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.busy)
}

func (n *Notifier) occupy(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy[key] = true
}

func (n *Notifier) free(key string) {
	n.mu.Lock()
	delete(n.busy, key)
	n.mu.Unlock()
	n.nudge()
}

func (n *Notifier) nudge() {
	select {
	case n.wake <- struct{}{}:
	default: // a round is due anyway
	}
}

// try sends a delivery once and stores what came of it. A try that the daemon's stop
// broke off does not count.
func (n *Notifier) try(ctx context.Context, d steady.Delivery) {
	err := n.send(ctx, d)
	if ctx.Err() != nil && err != nil {
		return
	}
	d = attempted(d, err, time.Now().UTC())
	outcome := "delivered"
	switch {
	case err != nil && d.Ended.IsZero():
		outcome = "failed"
		n.Log.Warn("receiver was not told", "project", d.Project, "receiver", d.Name, "event", d.Notice, "rollout", d.Rollout, "tries", d.Tries, "again", d.Due, "err", err)
	case err != nil:
		outcome = "given-up"
		n.Log.Error("notification given up", "project", d.Project, "receiver", d.Name, "event", d.Notice, "rollout", d.Rollout, "tries", d.Tries, "err", err)
	}
	n.Tried(outcome)
	n.settle(context.WithoutCancel(ctx), d)
}

// attempted is the delivery after a try.
func attempted(d steady.Delivery, err error, now time.Time) steady.Delivery {
	d.Tries++
	d.Error = ""
	if err == nil {
		d.Ended, d.Due = now, time.Time{}
		return d
	}
	d.Error = err.Error()
	if now.Sub(d.Made) > giveUp {
		d.Ended, d.Due = now, time.Time{}
		return d
	}
	pause := mostPause
	if d.Tries < 10 {
		pause = min(mostPause, firstPause<<(d.Tries-1))
	}
	d.Due = now.Add(pause)
	return d
}
