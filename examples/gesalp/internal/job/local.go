package job

import (
	"bytes"
	"context"
	"io"
	"sync"

	"gesalp.example/stack/internal/synth"
)

// Local runs jobs in this process and keeps them in memory: what the api falls
// back to when the queue is away. Its jobs are known to this replica alone.
type Local struct {
	release string
	running sync.WaitGroup

	mu   sync.Mutex
	jobs map[string]*local // guarded by mu, as is what it points to
}

type local struct {
	state   State
	rows    []byte
	model   synth.Model
	changed chan struct{} // closed and replaced at each change
}

// NewLocal makes an empty Local.
func NewLocal(release string) *Local {
	return &Local{release: release, jobs: map[string]*local{}}
}

// Submit starts the job. It goes on after ctx has ended; Wait waits for it.
func (l *Local) Submit(ctx context.Context, j Job, m synth.Model) error {
	ctx = context.WithoutCancel(ctx)
	l.mu.Lock()
	l.jobs[j.ID] = &local{
		state:   State{Job: j, Phase: Running, Attempt: 1, Worker: "api", Release: l.release},
		model:   m,
		changed: make(chan struct{}),
	}
	l.mu.Unlock()
	l.running.Go(func() { l.run(ctx, j, m) })
	return nil
}

// Wait waits until no job runs.
func (l *Local) Wait() { l.running.Wait() }

func (l *Local) run(ctx context.Context, j Job, m synth.Model) {
	ctx, cancel := context.WithTimeout(ctx, MaxTime)
	defer cancel()
	rows, err := Make(ctx, j, m, func(made int) {
		l.change(j.ID, func(it *local) { it.state.Made = made })
	})
	l.change(j.ID, func(it *local) {
		it.rows, it.state.Phase = rows, Done
		if err != nil {
			it.rows, it.state.Phase, it.state.Error = nil, Failed, err.Error()
		}
	})
}

func (l *Local) change(id string, f func(*local)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	it := l.jobs[id]
	f(it)
	close(it.changed)
	it.changed = make(chan struct{})
}

func (l *Local) look(id string) (local, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	it, ok := l.jobs[id]
	if !ok {
		return local{}, ErrNone
	}
	return *it, nil
}

// State says how far the job is.
func (l *Local) State(_ context.Context, id string) (State, error) {
	it, err := l.look(id)
	return it.state, err
}

// Watch calls f with the state now and after each change until it has ended, ctx
// ends or f returns an error.
func (l *Local) Watch(ctx context.Context, id string, f func(State) error) error {
	for {
		it, err := l.look(id)
		if err != nil {
			return err
		}
		if err := f(it.state); err != nil || it.state.Ended() {
			return err
		}
		select {
		case <-it.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Rows opens the rows of a job that is done; ErrNone before.
func (l *Local) Rows(_ context.Context, id string) (io.ReadCloser, error) {
	it, err := l.look(id)
	if err != nil {
		return nil, err
	}
	if it.state.Phase != Done {
		return nil, ErrNone
	}
	return io.NopCloser(bytes.NewReader(it.rows)), nil
}
