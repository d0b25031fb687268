package rollout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// claim is a lease that is held, or that somebody waits for: a run's, or a
// person's, whose run is nil.
type claim struct {
	run    *run
	person steady.Lease

	span   time.Duration // of the person's, from when it is served
	ticket string
	since  time.Time
	until  time.Time // when it gives up waiting
}

// lease tells the claim's lease as it is now. Engine.mu is held.
func (c *claim) lease() steady.Lease {
	if c.run == nil {
		return c.person
	}
	r := c.run
	l := steady.Lease{Project: r.Project, Services: r.Services, Kind: steady.LeaseRollout, Owner: r.Who, Rollout: r.ID, What: r.Kind,
		Since: r.Started, Beat: r.beaten}
	if s := r.step.Load(); s != nil {
		l.Step = *s
	}
	if !l.Beat.IsZero() {
		l.Expires = l.Beat.Add(steady.RolloutLease)
	}
	return l
}

// claim takes all services of the claim, or none. It waits as long as the caller
// allows, behind those who came before and want one of the same services.
func (e *Engine) claim(ctx context.Context, c *claim, wait time.Duration) error {
	c.since = time.Now().UTC()
	c.until = c.since.Add(wait)
	late := time.NewTimer(max(wait, 0))
	defer late.Stop()
	e.enqueue(c)
	defer e.dequeue(c)
	for {
		blocked, expires, freed := e.take(c)
		if blocked == nil {
			return nil
		}
		if blocked.retires != nil {
			blocked.retires.yield()
			if err := awaitFree(ctx, freed, time.Time{}, nil); err != nil {
				return err
			}
			continue
		}
		if wait <= 0 {
			return e.busy(blocked)
		}
		if err := awaitFree(ctx, freed, expires, late.C); err != nil {
			return err
		}
		if !time.Now().Before(c.until) {
			if blocked, _, _ = e.take(c); blocked == nil {
				return nil
			}
			return e.busy(blocked)
		}
	}
}

// awaitFree waits until leases may have changed, one of them expires, or it is late.
func awaitFree(ctx context.Context, freed <-chan struct{}, expires time.Time, late <-chan time.Time) error {
	var over <-chan time.Time
	if !expires.IsZero() {
		t := time.NewTimer(time.Until(expires))
		defer t.Stop()
		over = t.C
	}
	select {
	case <-freed:
	case <-over:
	case <-late:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

func (e *Engine) enqueue(c *claim) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(e.queue, c)
}

// dequeue takes a claim out of the queue, if it is still there: it was served, or
// has given up and lets those behind it come.
func (e *Engine) dequeue(c *claim) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := slices.Index(e.queue, c); i >= 0 {
		e.queue = slices.Delete(e.queue, i, i+1)
		e.stir()
	}
}

// stir wakes all who wait for leases. Engine.mu is held.
func (e *Engine) stir() {
	close(e.freed)
	e.freed = make(chan struct{})
}

// take takes what the claim is about where nothing is in its way. Else it gives what
// is, when that expires by itself, and a channel that is closed when it may have
// changed. An engine that is not open yet is in the way of all.
func (e *Engine) take(c *claim) (blocked *blocker, expires time.Time, freed <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.accepts {
		return &blocker{closed: true}, time.Time{}, e.freed
	}
	if b := e.inTheWay(c); b != nil {
		if b.lease.Kind == steady.LeasePerson && !b.waits {
			expires = b.lease.Expires
		}
		return b, expires, e.freed
	}
	if c.run == nil { // it begins now
		c.person.Since = time.Now().UTC()
		c.person.Expires = c.person.Since.Add(c.span)
	}
	e.held = append(e.held, c)
	return nil, time.Time{}, nil
}

// blocker is what is in the way of a claim.
type blocker struct {
	lease  steady.Lease
	waits  bool // it does not hold it yet, but came before
	closed bool // the engine takes none

	late *steady.Error // where what has the lease has ended, and its end is not stored yet

	retires *run // where what has the lease only ends a warm release: it can be asked to yield
}

// inTheWay finds what keeps a claim from being served. Engine.mu is held.
func (e *Engine) inTheWay(c *claim) *blocker {
	e.expire()
	want := c.lease()
	for _, h := range e.held {
		if l := h.lease(); l.Meets(want) {
			b := &blocker{lease: l}
			if h.run != nil && h.run.Kind == kindRetire {
				b.retires = h.run
			}
			if h.run != nil && h.run.ID > 0 {
				if why := h.run.backlog.reason(); why != nil {
					b.late = unstored(h.run.Rollout, why)
				}
			}
			return b
		}
	}
	for _, q := range e.queue {
		if q == c {
			return nil
		}
		if l := q.lease(); l.Meets(want) {
			return &blocker{lease: l, waits: true}
		}
	}
	return nil
}

// expire forgets persons' leases that are over. Engine.mu is held.
func (e *Engine) expire() {
	now := time.Now()
	e.held = slices.DeleteFunc(e.held, func(c *claim) bool { return c.run == nil && c.person.Expired(now) })
}

// regain gives a rollout that a crash left its lease again, before anybody else
// gets one; it gives the lease that is in the way, if one is. A person's is not: it
// was granted beside the rollout's or after it.
func (e *Engine) regain(r *run) *steady.Lease {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &claim{run: r}
	for _, h := range e.held {
		if l := h.lease(); h.run != nil && l.Meets(c.lease()) {
			return &l
		}
	}
	e.held = append(e.held, c)
	return nil
}

// release gives a run's lease back.
func (e *Engine) release(r *run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held = slices.DeleteFunc(e.held, func(c *claim) bool { return c.run == r })
	delete(e.runs, r.ID)
	e.stir()
}

// busy tells who has the lease, how far it is, and what can be done about it.
func (e *Engine) busy(b *blocker) error {
	l := b.lease
	since := time.Since(l.Since).Round(time.Second)
	switch {
	case b.closed:
		return steady.ErrBusy.With("the daemon is starting or stopping", "try again in a moment")
	case b.late != nil:
		return b.late
	case b.waits:
		return steady.ErrBusy.With(fmt.Sprintf("a %s of %s by %s waits for its turn already", l.What, l.Project, l.Owner), "steady lock show, or --wait-lock 5m to wait behind it")
	case l.Kind == steady.LeasePerson:
		text := fmt.Sprintf("%s is locked by %s until %s", l.Ref(), l.Owner, l.Expires.UTC().Format("15:04:05 MST"))
		if l.Message != "" {
			text += ": " + l.Message
		}
		return steady.ErrBusy.With(text, "steady lock release, or --wait-lock 5m to wait for it")
	case l.Rollout == 0:
		return steady.ErrBusy.With(fmt.Sprintf("another rollout of %s by %s begins just now", l.Project, l.Owner), "steady watch, or --wait-lock 5m to wait for it")
	}
	step := l.Step
	if step == "" {
		step = "the plan"
	}
	return steady.ErrBusy.With(
		fmt.Sprintf("rollout %d of %s by %s runs since %s, at step %s", l.Rollout, l.Project, l.Owner, since, step),
		fmt.Sprintf("steady watch %d, or --wait-lock 5m to wait for it, or steady abort to end it", l.Rollout))
}
