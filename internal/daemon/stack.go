package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// stack is what was started, each with its name, stopped last in first out, also
// when wiring fails half-way.
type stack struct {
	log    *slog.Logger
	stops  []stop
	failed chan error
}

type stop struct {
	name string
	do   func(context.Context) error
}

func (s *stack) push(name string, do func(context.Context) error) {
	s.stops = append(s.stops, stop{name, do})
}

// start runs a part in a goroutine of its own; stopping it ends its context and
// waits.
func (s *stack) start(name string, run func(context.Context) error) {
	if s.failed == nil {
		s.failed = make(chan error, 8)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := run(ctx)
		if err != nil && ctx.Err() == nil {
			s.failed <- fmt.Errorf("%s: %w", name, err)
		}
		done <- nil
	}()
	s.push(name, func(stopping context.Context) error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-stopping.Done():
			return fmt.Errorf("still running: %w", stopping.Err())
		}
	})
}

// unwind stops everything within one time limit.
func (s *stack) unwind() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	var errs []error
	for i := len(s.stops) - 1; i >= 0; i-- {
		st := s.stops[i]
		if err := st.do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", st.name, err))
		}
		s.log.Debug("stopped", "part", st.name)
	}
	return errors.Join(errs...)
}
