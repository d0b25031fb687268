// Package worker does synthesis jobs, one at a time.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gesalp.example/stack/internal/job"
)

// Worker takes jobs from a queue.
type Worker struct {
	Queue   *job.Queue
	Name    string
	Release string
	Log     *slog.Logger

	// Patience is how long each attempt to hand in finished rows waits for a queue
	// that is away. Once told to stop, the attempt under way is the last: the job
	// is still on the queue, and another worker makes the same rows.
	Patience time.Duration

	joined atomic.Bool
}

// Ready says whether the worker has reached the queue since it began. A queue
// that goes away later does not make it unready: it waits for it.
func (w *Worker) Ready() bool { return w.joined.Load() }

// Run does jobs until ctx ends. The job in hand is then finished, which takes up
// to job.MaxTime; no other is taken.
func (w *Worker) Run(ctx context.Context) error {
	const (
		wait  = 500 * time.Millisecond // bounds how long an idle worker takes to stop
		retry = 100 * time.Millisecond
	)
	for ctx.Err() == nil {
		d, err := w.Queue.Take(wait, w.Name, w.Release)
		if err != nil {
			if !errors.Is(err, job.ErrAway) {
				w.Log.Warn("take job", "err", err)
			}
			w.rest(ctx, retry)
			continue
		}
		w.joined.Store(true)
		if d == nil {
			continue
		}
		if ctx.Err() != nil {
			return d.GiveBack()
		}
		if err := w.do(ctx, d); err != nil {
			w.Log.Error("job not finished", "job", d.Job.ID, "attempt", d.Attempt, "err", err)
			continue
		}
		w.Log.Info("job ended", "job", d.Job.ID, "rows", d.Job.Rows, "attempt", d.Attempt)
	}
	return nil
}

func (w *Worker) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// do does the job with a clock of its own: a worker that is told to stop, which
// is when stop ends, finishes what it has begun.
func (w *Worker) do(stop context.Context, d *job.Delivery) error {
	ctx, cancel := context.WithTimeout(context.Background(), job.MaxTime)
	defer cancel()
	holding, release := context.WithCancel(ctx)
	var pulse sync.WaitGroup
	pulse.Go(func() { d.Hold(holding) })
	defer pulse.Wait()
	defer release()

	if d.Exhausted() {
		return d.Fail(ctx, fmt.Errorf("given up after %d attempts", d.Attempt-1))
	}
	err := d.Progress(ctx, 0)
	if errors.Is(err, job.ErrEnded) || errors.Is(err, job.ErrNone) {
		return d.Forget(ctx)
	}
	if err != nil {
		return errors.Join(err, d.GiveBack())
	}
	return w.make(ctx, stop, d)
}

func (w *Worker) make(ctx, stop context.Context, d *job.Delivery) error {
	model, err := d.Model(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("read model: %w", err), d.GiveBack())
	}
	rows, err := job.Make(ctx, d.Job, model, func(made int) {
		// Progress is for looking at: a queue that is away must not slow the job.
		if !w.Queue.Connected() {
			return
		}
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := d.Progress(soon, made); err != nil && !errors.Is(err, job.ErrEnded) {
			w.Log.Warn("report progress", "job", d.Job.ID, "made", made, "err", err)
		}
	})
	if err != nil { // the time is up for making, not for saying so
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.Patience)
		defer cancel()
		return d.Fail(last, err)
	}
	return w.handIn(ctx, stop, d, rows)
}

func (w *Worker) handIn(ctx, stop context.Context, d *job.Delivery, rows []byte) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, w.Patience)
		err := d.Finish(attempt, rows)
		cancel()
		if !errors.Is(err, job.ErrAway) || ctx.Err() != nil || stop.Err() != nil {
			return err
		}
	}
}
