package daemon

import (
	"cmp"
	"context"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/rollout"
)

// Events implements api.Backend. What the store does not have yet is told all the same:
// nobody waits for a disk.
func (b *backend) Events(ctx context.Context, id, after int64, say func(steady.Event) error) error {
	for {
		changed := b.rollouts.Changed(id) // before reading: no event falls between
		live, lives := b.live(id)
		stored, err := b.store.Rollout(ctx, id)
		if err != nil {
			return err
		}
		events, err := b.store.Events(ctx, id, after)
		if err != nil {
			return err
		}
		for _, e := range followed(events, stored, live, lives) {
			if e.Seq <= after {
				continue
			}
			if err := say(e); err != nil {
				return err
			}
			if e.Last() {
				return nil
			}
			after = e.Seq
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// followed is what those who follow a rollout are told beyond what they know: what is
// stored, then what is not yet; and the end, where nothing follows any more.
func followed(events []steady.Event, stored steady.Rollout, live rollout.Live, lives bool) []steady.Event {
	ended := func() bool { return len(events) > 0 && events[len(events)-1].Last() }
	if ended() {
		return events
	}
	events = append(events, live.Events...)
	switch {
	case live.Unstored != nil && (live.Ends || ended()):
		if ended() {
			events = events[:len(events)-1]
		}
		events = append(events, live.Last())
	case !lives && stored.Final(): // its events are pruned, or its last one was never written
		events = append(events, endOf(stored))
	}
	return events
}

// endOf makes a rollout's last event of what the store has of the rollout.
func endOf(r steady.Rollout) steady.Event {
	e := steady.Event{Seq: endless, Kind: steady.EventFailed, State: r.State, Time: r.Ended, Rollout: r.ID, Project: r.Project, Error: r.Error, Took: r.Ended.Sub(r.Started)}
	if r.State == steady.RolloutDone || r.State == steady.RolloutUnchanged {
		e.Kind = steady.EventDone
	}
	if r.Receipt != nil {
		brief := r.Receipt.Brief()
		e.Receipt = &brief
	}
	return e
}

// endless is above the number of any event that is stored.
const endless = 1 << 62

// live is the rollout as its worker knows it, as it may be told.
func (b *backend) live(id int64) (rollout.Live, bool) {
	l, ok := b.rollouts.Live(id)
	if ok {
		l.Error, l.Unstored = b.private.Error(l.Project, l.Error), b.private.Error(l.Project, l.Unstored)
	}
	for i, e := range l.Events {
		l.Events[i].Text, l.Events[i].Warning, l.Events[i].Error = b.private.Text(e.Project, e.Text), b.private.Text(e.Project, e.Warning), b.private.Error(e.Project, e.Error)
	}
	return l, ok
}

// asItIs is a rollout of the store as its worker knows it, where one does.
func (b *backend) asItIs(stored steady.Rollout) steady.Rollout {
	l, ok := b.live(stored.ID)
	if !ok || stored.Final() {
		return stored
	}
	stored.State, stored.Error, stored.Unstored = l.State, l.Error, l.Unstored
	if l.Final() {
		stored.Ended, stored.Receipt = l.Ended, cmp.Or(l.Receipt, stored.Receipt)
	}
	return stored
}

// unstored lists the project's rollouts that the store does not have as they are.
func (b *backend) unstored(project string) []steady.Rollout {
	var out []steady.Rollout
	for _, id := range b.rollouts.Unstored(project) {
		if l, ok := b.live(id); ok && l.Unstored != nil {
			l.Receipt = nil
			out = append(out, l.Rollout)
		}
	}
	return out
}

// Rollouts implements api.Backend.
func (b *backend) Rollouts(ctx context.Context, project string, limit int) ([]steady.Rollout, error) {
	all, err := b.store.Rollouts(ctx, project, limit)
	for i, r := range all {
		if all[i] = b.asItIs(r); all[i].Receipt != nil {
			brief := all[i].Receipt.Brief()
			all[i].Receipt = &brief
		}
	}
	return all, err
}

// Rollout implements api.Backend.
func (b *backend) Rollout(ctx context.Context, id int64) (steady.Rollout, error) {
	r, err := b.store.Rollout(ctx, id)
	return b.asItIs(r), err
}
