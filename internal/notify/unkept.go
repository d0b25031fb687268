package notify

import (
	"context"
	"time"

	"gesalpai.ch/steady"
)

// What the outbox cannot take, as on a full disk, is kept in memory until it can.
const (
	keepAgain  = 5 * time.Second // between two tries to have the outbox take it
	mostUnkept = 500             // deliveries; the oldest go
)

// enqueue writes deliveries down, behind those that the outbox has not taken yet.
func (n *Notifier) enqueue(ctx context.Context, ds []steady.Delivery) {
	n.mu.Lock()
	n.unkept = append(n.unkept, ds...)
	if over := len(n.unkept) - mostUnkept; over > 0 {
		n.Log.Error("notifications lost: too many could not be stored", "lost", over)
		n.unkept = n.unkept[over:]
	}
	n.mu.Unlock()
	if err := n.keep(ctx); err != nil {
		n.Log.Error("a notification cannot be stored; it is sent when it can be", "err", err)
	}
}

// keep has the outbox take what it could not before.
func (n *Notifier) keep(ctx context.Context) error {
	n.keeping.Lock() // else one would be written twice
	defer n.keeping.Unlock()
	n.mu.Lock()
	ds := n.unkept
	n.mu.Unlock()
	if len(ds) > 0 {
		if err := n.Outbox.Enqueue(ctx, append([]steady.Delivery(nil), ds...)); err != nil {
			return err
		}
		n.mu.Lock()
		n.unkept = n.unkept[len(ds):]
		n.mu.Unlock()
	}
	for _, d := range n.tried() {
		if err := n.Outbox.Attempted(ctx, d); err != nil {
			return err
		}
		n.mu.Lock()
		if n.outcomes[d.ID].Tries == d.Tries {
			delete(n.outcomes, d.ID)
		}
		n.mu.Unlock()
	}
	return nil
}

// tried lists the outcomes that the outbox lacks.
func (n *Notifier) tried() []steady.Delivery {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []steady.Delivery
	for _, d := range n.outcomes {
		out = append(out, d)
	}
	return out
}

// settle notes what became of a try. What the outbox cannot take is remembered, so that
// nothing is sent again for it.
func (n *Notifier) settle(ctx context.Context, d steady.Delivery) {
	n.mu.Lock()
	n.outcomes[d.ID] = d
	n.mu.Unlock()
	if err := n.keep(ctx); err != nil {
		n.Log.Error("store what became of a notification", "delivery", d.ID, "err", err)
	}
}

// asTried is a delivery of the outbox as its last try left it; false: it is over.
func (n *Notifier) asTried(d steady.Delivery) (steady.Delivery, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if o, known := n.outcomes[d.ID]; known {
		d = o
	}
	return d, d.Ended.IsZero()
}
