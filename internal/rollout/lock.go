package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// LeaseBook keeps leases beyond the daemon's life. Errors: steady.ErrStore.
type LeaseBook interface {
	// Leases lists what was kept.
	Leases(ctx context.Context) ([]steady.Lease, error)
	// BeatLease keeps a rollout's lease, in the place of what it said before.
	BeatLease(ctx context.Context, l steady.Lease) error
	// DropLease drops the lease of a rollout.
	DropLease(ctx context.Context, rollout int64) error
	// KeepLeases replaces the leases that persons have of a project.
	KeepLeases(ctx context.Context, project string, persons []steady.Lease) error
}

// Lock takes a lease for a person, who waits for it as long as wait. Nobody's
// rollout of these services begins until it is released or expires, not even the
// person's own. Errors: steady.ErrBusy, steady.ErrUsage.
func (e *Engine) Lock(ctx context.Context, l steady.Lease, ticket string, wait time.Duration) (steady.Lease, error) {
	now := time.Now().UTC()
	if err := l.Validate(now); err != nil {
		return l, err
	}
	c := &claim{person: l, span: l.Expires.Sub(now), ticket: ticket}
	c.person.Kind, c.person.What, c.person.Expires = steady.LeasePerson, "lock", time.Time{}
	if err := e.claim(ctx, c, wait); err != nil {
		return l, err
	}
	e.mu.Lock()
	l = c.person
	e.mu.Unlock()
	err := context.Cause(ctx) // who has left will not release it
	if err == nil {
		err = e.keep(ctx, l.Project)
	}
	if err != nil {
		e.unlock(c)
	}
	return l, err
}

// Unlock releases the leases that persons have of services of a project: who's own,
// or with force anybody's. It gives those it released; none is no error. Errors:
// steady.ErrBusy where another person's or a running rollout's is in the way.
func (e *Engine) Unlock(ctx context.Context, project string, services []string, who string, force bool) ([]steady.Lease, error) {
	gone, out, err := e.releasable(steady.Lease{Project: project, Services: services, Owner: who}, force)
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	e.keeping.Lock()
	defer e.keeping.Unlock()
	if err := e.keepBut(ctx, project, gone); err != nil { // they stay: the next daemon would find them
		return nil, err
	}
	e.unlock(gone...)
	return out, nil
}

// releasable finds the persons' leases that meet what is to be released, and says
// why one must not be.
func (e *Engine) releasable(wish steady.Lease, force bool) (gone []*claim, out []steady.Lease, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.accepts { // what is in the book may not be remembered yet
		return nil, nil, e.busy(&blocker{closed: true})
	}
	e.expire()
	for _, c := range e.held {
		l := c.lease()
		switch {
		case !l.Meets(wish), c.run != nil && c.run.Kind == kindRetire: // which asks nobody, and is in nobody's way
		case c.run != nil:
			return nil, nil, steady.ErrBusy.With(l.Holder()+" of "+l.Project+" runs, and its lease ends with it", fmt.Sprintf("steady abort %d", l.Rollout))
		case l.Owner != wish.Owner && !force:
			return nil, nil, steady.ErrBusy.With(fmt.Sprintf("%s is locked by %s, not by %s", l.Ref(), l.Owner, wish.Owner),
				strings.TrimSpace("steady lock release --force "+strings.Join(wish.Services, " ")))
		default:
			gone, out = append(gone, c), append(out, l)
		}
	}
	return gone, out, nil
}

func (e *Engine) unlock(gone ...*claim) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held = slices.DeleteFunc(e.held, func(c *claim) bool { return slices.Contains(gone, c) })
	e.stir()
}

// Holds tells who holds leases of a project, and who waits for one.
func (e *Engine) Holds(project string) steady.Leases {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expire()
	out := steady.Leases{Held: []steady.Lease{}}
	for _, c := range e.held {
		if l := c.lease(); l.Project == project {
			out.Held = append(out.Held, l)
		}
	}
	for _, c := range e.queue {
		l := c.lease()
		b := e.inTheWay(c)
		if l.Project != project || b == nil {
			continue
		}
		w := steady.Waiter{Project: project, Services: l.Services, Owner: l.Owner, What: l.What, Ticket: c.ticket, Since: c.since, Until: c.until}
		if w.For = b.lease.Holder(); b.waits {
			w.For = fmt.Sprintf("%s, who came before", b.lease.Owner)
		}
		out.Waiting = append(out.Waiting, w)
	}
	return out
}

// keep has the book say what persons hold of a project.
func (e *Engine) keep(ctx context.Context, project string) error {
	e.keeping.Lock() // what is written last is what holds
	defer e.keeping.Unlock()
	return e.keepBut(ctx, project, nil)
}

// keepBut has the book say what persons hold of a project but for those. e.keeping is
// held.
func (e *Engine) keepBut(ctx context.Context, project string, but []*claim) error {
	if e.Leases == nil {
		return nil
	}
	return e.Leases.KeepLeases(ctx, project, e.personsBut(project, but))
}

func (e *Engine) personsBut(project string, but []*claim) []steady.Lease {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expire()
	var out []steady.Lease
	for _, c := range e.held {
		if l := c.lease(); l.Project == project && l.Kind == steady.LeasePerson && !slices.Contains(but, c) {
			out = append(out, l)
		}
	}
	return out
}

// remember takes the leases of persons that have not expired from the book, and
// drops those of rollouts that have ended: nobody runs them any more.
func (e *Engine) remember(ctx context.Context, unfinished []steady.Rollout) error {
	if e.Leases == nil {
		return nil
	}
	kept, err := e.Leases.Leases(ctx)
	if err != nil {
		return fmt.Errorf("read leases: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range kept {
		switch {
		case l.Kind == steady.LeasePerson && !l.Expired(time.Now()):
			e.held = append(e.held, &claim{person: l})
		case l.Kind == steady.LeaseRollout && !slices.ContainsFunc(unfinished, func(r steady.Rollout) bool { return r.ID == l.Rollout }):
			if err := e.Leases.DropLease(ctx, l.Rollout); err != nil {
				e.Log.Warn("drop the lease of a rollout that has ended", "rollout", l.Rollout, "err", err)
			}
		}
	}
	return nil
}

// beat says every few seconds that the run's worker lives, until ctx ends.
func (r *run) beat(ctx context.Context) {
	t := time.NewTicker(steady.LeaseBeat)
	defer t.Stop()
	c := &claim{run: r}
	for {
		r.engine.mu.Lock()
		r.beaten = time.Now().UTC()
		l := c.lease()
		r.engine.mu.Unlock()
		if book := r.engine.Leases; book != nil && !r.backlog.behind() {
			if err := book.BeatLease(ctx, l); err != nil && ctx.Err() == nil {
				r.engine.Log.Warn("heartbeat of a rollout", "rollout", r.ID, "err", err)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			r.lapse()
			return
		}
	}
}

// lapse drops the lease of a rollout that has ended. One that the daemon's end has
// suspended keeps its own for the next daemon.
func (r *run) lapse() {
	r.engine.mu.Lock()
	ended := r.Final()
	r.engine.mu.Unlock()
	if book := r.engine.Leases; book != nil && ended {
		if err := book.DropLease(context.WithoutCancel(r.engine.base), r.ID); err != nil {
			r.engine.Log.Warn("drop the lease of a rollout", "rollout", r.ID, "err", err)
		}
	}
}
