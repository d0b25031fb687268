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
	Host    Host // runs hooks on this machine; nil: none can
	Log     *slog.Logger
	// Leases keeps leases beyond the daemon's life; nil: nobody does.
	Leases LeaseBook
	// Crash, when set, is called before and after each step with its kind and
	// "before" or "after"; tests end the process there.
	Crash func(step, when string)
	// KeepImages is how many images of earlier releases stay after a rollout; nil: all.
	KeepImages *int
	// ReadEvery is how often the proxy's counts are read while a rollout runs; 0 is
	// every second.
	ReadEvery time.Duration
	// WriteAgain is how long what the store did not take is left before it is tried
	// again; 0 is a second.
	WriteAgain time.Duration

	mu      sync.Mutex
	workers sync.WaitGroup
	base    context.Context // of Run; nil before it
	accepts bool            // Run has taken up what was left and has not ended
	runs    map[int64]*run  // those that have not ended, or whose end is not stored yet
	held    []*claim        // leases of rollouts and of persons
	queue   []*claim        // who waits for one, the first to come first
	keeping sync.Mutex      // over each write of persons' leases
	freed   chan struct{}   // closed and made anew when a claim ends
	wake    map[int64]chan struct{}
	again   map[string]time.Time // "project/service" whose warm release could not be retired → when it is tried again
}

// New wires an engine; it does nothing before Run.
func New(rt Runtime, router Router, prober Prober, journal Journal, log *slog.Logger) *Engine {
	return &Engine{
		Runtime: rt, Router: router, Prober: prober, Journal: journal, Log: log,
		runs: map[int64]*run{}, freed: make(chan struct{}), wake: map[int64]chan struct{}{},
		again: map[string]time.Time{},
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
	e.retireDue(ctx).Stop() // before anybody goes back to what was being stopped
	e.workers.Go(func() { e.retireAll(ctx) })
	e.workers.Go(func() { e.keepAll(ctx) })
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
	e.stir()
}

// spawn starts the worker of a run that holds its leases.
func (e *Engine) spawn(r *run, work func(context.Context)) {
	e.mu.Lock()
	ctx, cancel := context.WithCancelCause(e.base)
	r.cancel, r.beaten = cancel, time.Now().UTC()
	e.runs[r.ID] = r
	e.mu.Unlock()
	beating, over := context.WithCancel(context.WithoutCancel(e.base)) // an abort ends the work, not its undo
	e.workers.Go(func() { r.beat(beating) })
	e.workers.Go(func() {
		defer over()
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
	found, err := e.find(project, rollout, "abort")
	switch {
	case err != nil:
		return err
	case found.Kind == steady.KindDown:
		return steady.ErrNotRunning.With("it is too late to abort: what was named is being taken down", "steady watch, then steady deploy all")
	case found.State != steady.RolloutRunning:
		return steady.ErrNotRunning.With("the rollout is being undone already", "steady watch")
	case found.past:
		return steady.ErrNotRunning.With("it is too late to abort: the new release serves and the old one is being removed", "steady rollback")
	}
	found.cancel(steady.ErrAborted.With("rollout was aborted", "steady status"))
	return nil
}

// find is the project's run of that number, or with 0 its only one; what is the
// command that wants it. e.mu is held.
func (e *Engine) find(project string, rollout int64, what string) (*run, error) {
	var found *run
	for id, r := range e.runs {
		if r.Project != project || r.Final() || rollout != 0 && rollout != id {
			continue
		}
		if found != nil {
			return nil, steady.ErrUsage.With("several rollouts of "+project+" run", fmt.Sprintf("steady %s %d", what, min(id, found.ID)))
		}
		found = r
	}
	if found == nil {
		return nil, steady.ErrNotRunning.With("no rollout of "+project+" runs", "steady status")
	}
	return found, nil
}

// Running is the rollout that a project is in now, if any; of several one that tries
// a release out.
func (e *Engine) Running(project string) *steady.Rollout {
	e.mu.Lock()
	found := map[*run]steady.Rollout{}
	for _, r := range e.runs {
		if r.Project == project && !r.Final() {
			found[r] = r.Rollout
		}
	}
	e.mu.Unlock()
	var out *steady.Rollout
	for r, c := range found {
		if c.Stage = r.stages.shown(); out == nil || c.Stage != nil {
			out = &c
		}
	}
	return out
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
