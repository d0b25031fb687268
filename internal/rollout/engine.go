// Package rollout carries plans out: it accepts a rollout, writes each step into
// the journal before and after it, undoes what failed and finishes what a crash
// left. What to do is decided in package plan.
package rollout

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// Engine runs rollouts, one worker each; no service is in two at a time.
type Engine struct {
	Runtime Runtime
	Router  Router
	Prober  Prober
	Journal Journal
	Log     *slog.Logger
	// Crash, when set, is called before and after each step with its kind and
	// "before" or "after"; tests end the process there.
	Crash func(step, when string)
	// ReadEvery is how often the proxy's counts are read while a rollout runs; 0 is
	// every second.
	ReadEvery time.Duration

	mu      sync.Mutex
	workers sync.WaitGroup
	base    context.Context // of Run; nil before it
	accepts bool            // Run has taken up what was left and has not ended
	runs    map[int64]*run  // those that have not ended
	leases  map[string]*run // "project/service" → who has it
	freed   chan struct{}   // closed and made anew when a run ends
	wake    map[int64]chan struct{}
}

// New wires an engine; it does nothing before Run.
func New(rt Runtime, router Router, prober Prober, journal Journal, log *slog.Logger) *Engine {
	return &Engine{
		Runtime: rt, Router: router, Prober: prober, Journal: journal, Log: log,
		runs: map[int64]*run{}, leases: map[string]*run{}, freed: make(chan struct{}), wake: map[int64]chan struct{}{},
	}
}

// Run finishes or undoes what a crash left, then carries out what Accept takes
// until ctx ends. It returns when every worker has stopped at a step's edge;
// what they leave is resumed by the next Run.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	e.base = ctx
	e.mu.Unlock()
	if err := e.recover(ctx); err != nil {
		return err
	}
	e.open(true)
	<-ctx.Done()
	e.open(false)
	e.workers.Wait()
	return nil
}

// open lets Accept take leases, once what a crash left has taken its own.
func (e *Engine) open(open bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accepts = open
	close(e.freed)
	e.freed = make(chan struct{})
}

// spawn starts the worker of a run that holds its leases.
func (e *Engine) spawn(r *run, work func(context.Context)) {
	e.mu.Lock()
	ctx, cancel := context.WithCancelCause(e.base)
	r.cancel = cancel
	e.runs[r.ID] = r
	e.mu.Unlock()
	e.workers.Go(func() {
		defer cancel(nil)
		defer e.release(r)
		work(ctx)
	})
}

// Abort asks a running rollout to undo itself; rollout 0 means the project's
// only one. Once old replicas are being removed it is too late.
func (e *Engine) Abort(project string, rollout int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found *run
	for id, r := range e.runs {
		if r.Project != project || rollout != 0 && rollout != id {
			continue
		}
		if found != nil {
			return steady.ErrUsage.With("several rollouts of "+project+" run", fmt.Sprintf("steady abort %d", min(id, found.ID)))
		}
		found = r
	}
	switch {
	case found == nil:
		return steady.ErrNoRollout.With("no rollout of "+project+" runs", "steady status")
	case found.Kind == steady.KindDown:
		return steady.ErrNoRollout.With("it is too late to abort: the project is being taken down", "steady watch, then steady deploy all")
	case found.State != steady.RolloutRunning:
		return steady.ErrNoRollout.With("the rollout is being undone already", "steady watch")
	case found.past:
		return steady.ErrNoRollout.With("it is too late to abort: the new release serves and the old one is being removed", "steady rollback")
	}
	found.cancel(steady.ErrAborted.With("rollout was aborted", "steady status"))
	return nil
}

// Running is the rollout that a project is in now, if any.
func (e *Engine) Running(project string) *steady.Rollout {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.runs {
		if r.Project == project {
			c := r.Rollout
			return &c
		}
	}
	return nil
}

// Changed gives a channel that is closed at the rollout's next event.
func (e *Engine) Changed(rollout int64) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.wake[rollout]
	if !ok {
		c = make(chan struct{})
		e.wake[rollout] = c
	}
	return c
}

func (e *Engine) awaken(rollout int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, ok := e.wake[rollout]; ok {
		close(c)
		delete(e.wake, rollout)
	}
}
