package rollout

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// retryWrite is how long a write that the store did not take is left before it is tried
// again.
const retryWrite = time.Second

// write is one write to the journal.
type write struct {
	what  string
	do    func(context.Context) error
	event *steady.Event // what it appends to the rollout's stream, if it does
}

// backlog is what the store could not take of a rollout that goes on without it: an
// undo, the removal of old replicas, the end. Everything is written later and in order,
// so that the store never tells of a step whose beginning it does not know.
type backlog struct {
	turn sync.Mutex // over each write, before it is known whether the store takes it

	mu      sync.Mutex
	pending []write       // oldest first; empty: the store has everything
	why     *steady.Error // why the oldest is not written
	waits   bool          // the rollout does nothing more before the store has everything
	written chan struct{} // closed when the store has everything
	seq     int64         // of the newest event, written or not
}

// behind says whether the store lacks something.
func (b *backlog) behind() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pending) > 0
}

// reason is why the store lacks something, nil where it does not.
func (b *backlog) reason() *steady.Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) == 0 {
		return nil
	}
	return b.why
}

// events are those that the store lacks; waits says whether the rollout does nothing more
// before it has them.
func (b *backlog) events() (out []steady.Event, waits bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.pending {
		if w.event != nil {
			out = append(out, *w.event)
		}
	}
	return out, b.waits
}

// add puts a write behind those that the store lacks. It says whether it is the first.
func (b *backlog) add(w write, why error) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.event != nil {
		b.seq++
		told := *w.event // the other is numbered anew when it is written
		told.Seq = b.seq
		w.event = &told
	}
	b.pending = append(b.pending, w)
	if first = len(b.pending) == 1; first {
		b.why, b.written = steady.AsError(why), make(chan struct{})
	}
	return first
}

// wrote notes that the oldest write is done; false: others are left.
func (b *backlog) wrote() (all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending = slices.Delete(b.pending, 0, 1); len(b.pending) > 0 {
		return false
	}
	close(b.written)
	b.waits = false
	return true
}

// bearable says whether the rollout goes on where the journal cannot be written:
// containers must be put right even on a full disk, and a rollout that has begun to
// remove the old replicas has no way back.
func (r *run) bearable() bool {
	r.engine.mu.Lock()
	defer r.engine.mu.Unlock()
	return r.State != steady.RolloutRunning || r.past
}

// write has the journal take a write. Where the rollout goes on without it, the error is
// nil, and what the store does not take now is written as soon as it can be.
func (r *run) write(ctx context.Context, w write) error { return r.writeOr(ctx, w, r.bearable()) }

// writeLate is write for what no failure may lose, at whatever moment.
func (r *run) writeLate(ctx context.Context, w write) { _ = r.writeOr(ctx, w, true) }

func (r *run) writeOr(ctx context.Context, w write, late bool) error {
	b := &r.backlog
	b.turn.Lock()
	defer b.turn.Unlock()
	if b.behind() {
		r.later(w, nil)
		return nil
	}
	err := w.do(ctx)
	switch {
	case err == nil && w.event != nil:
		b.mu.Lock()
		b.seq = w.event.Seq
		b.mu.Unlock()
	case err == nil || !late:
	case !transient(err):
		r.engine.Log.Error("write to the journal", "rollout", r.ID, "what", w.what, "err", err)
		return nil
	default:
		r.engine.Log.Error("the journal cannot be written; the rollout goes on, and is written when it can be", "rollout", r.ID, "what", w.what, "err", err)
		r.later(w, err)
		return nil
	}
	return err
}

// later puts a write behind what the store lacks, and has somebody write it.
func (r *run) later(w write, why error) {
	if r.backlog.add(w, why) {
		r.engine.workers.Go(func() { r.catchUp(r.engine.base) })
	}
}

// transient says whether a write that failed may succeed by and by.
func transient(err error) bool {
	return errors.Is(err, steady.ErrStore) || errors.Is(err, steady.ErrNoEngine) || errors.Is(err, steady.ErrNoProxy)
}

// catchUp writes what the store lacks, until it has everything or ctx ends.
func (r *run) catchUp(ctx context.Context) {
	b := &r.backlog
	for {
		b.mu.Lock()
		w := b.pending[0]
		b.mu.Unlock()
		err := w.do(context.WithoutCancel(ctx))
		if err != nil && transient(err) {
			b.mu.Lock()
			b.why = steady.AsError(err)
			b.mu.Unlock()
			if pause(ctx, cmp.Or(r.engine.WriteAgain, retryWrite)) != nil {
				return
			}
			continue
		}
		if err != nil {
			r.engine.Log.Error("write to the journal", "rollout", r.ID, "what", w.what, "err", err)
		}
		if b.wrote() {
			r.engine.Log.Info("the journal has the rollout as it is again", "rollout", r.ID)
			r.engine.awaken(r.ID)
			return
		}
	}
}

// caughtUp waits until the store has everything; false where the engine stops before.
// Those who follow the rollout are told why they would wait.
func (r *run) caughtUp() bool {
	written := r.backlog.wait()
	if written == nil {
		return true
	}
	r.engine.awaken(r.ID)
	select {
	case <-written:
		return true
	case <-r.engine.base.Done():
		return false
	}
}

// wait notes that the rollout waits for the store, and gives what is closed when the
// store has everything; nil: it has.
func (b *backlog) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) == 0 {
		return nil
	}
	b.waits = true
	return b.written
}
