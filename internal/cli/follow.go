package cli

import (
	"context"
	"fmt"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

// redrawEvery is the pace of the live view.
const redrawEvery = 100 * time.Millisecond

// view shows a rollout as it goes. Its methods are called from one goroutine.
type view interface {
	event(e steady.Event)
	tick(now time.Time)
	close() // leaves nothing on the screen that is not final
}

// carry asks for a rollout and follows it, or with detach says its number.
func (s *session) carry(ctx context.Context, detach bool, begin func(api.Backend) (steady.Rollout, error)) error {
	told := s.tellWaiting(ctx)
	r, err := begin(s.backend())
	told()
	if ctx.Err() != nil {
		s.say("interrupted while the rollout was being asked for; steady watch tells whether it runs")
		return errInterrupted
	}
	if err != nil {
		return err
	}
	if detach {
		return s.detached(r)
	}
	return s.follow(ctx, r)
}

// follow shows a rollout until it ends and gives its outcome. When ctx ends the
// rollout goes on.
func (s *session) follow(ctx context.Context, r steady.Rollout) error {
	v := s.view(r)
	var seen account
	err := s.stream(ctx, r, v, &seen)
	v.close()
	if ctx.Err() != nil {
		s.say(fmt.Sprintf("rollout %d goes on without you", r.ID))
		s.say(fmt.Sprintf("hint: steady watch %d comes back to it, steady abort stops it", r.ID))
		return errInterrupted
	}
	if err != nil {
		return err
	}
	return s.conclude(r, seen)
}

// account is what of a stream its end is told from.
type account struct {
	plan steady.Plan
	last steady.Event
}

func (a *account) note(e steady.Event) {
	if e.Plan != nil && a.plan.Project == "" {
		a.plan = *e.Plan
	}
	if e.Last() {
		a.last = e
	}
}

// stream brings the events to the view; everything that the view does happens in
// this goroutine.
func (s *session) stream(ctx context.Context, r steady.Rollout, v view, seen *account) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, ended := make(chan steady.Event), make(chan error, 1)
	backend := s.backend()
	go func() {
		ended <- backend.Events(ctx, r.ID, 0, func(e steady.Event) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t := time.NewTicker(redrawEvery)
	defer t.Stop()
	for {
		select {
		case e := <-events:
			seen.note(e)
			v.event(e)
		case now := <-t.C:
			v.tick(now)
		case err := <-ended:
			return err
		}
	}
}

// conclude prints the receipt and turns the last event into the outcome.
func (s *session) conclude(r steady.Rollout, seen account) error {
	e := seen.last
	if e.Kind == steady.EventFailed {
		cause := e.Error
		if cause == nil {
			cause = steady.ErrInternal.With("rollout ended as "+e.State, "")
		}
		return &unfinished{project: r.Project, state: e.State, cause: cause}
	}
	if p := s.progress(); p != progressJSON && p != progressQuiet {
		for _, line := range conclusion(r, seen) {
			s.print(line)
		}
	}
	r.State = e.State
	s.warnOfMissed(e.Receipt)
	if e.Error != nil { // it is done, and cannot be stored
		return &unfinished{project: r.Project, state: e.State, cause: e.Error}
	}
	return s.budget.check(r, e.Receipt)
}

// warnOfMissed says what is in no receipt.
func (s *session) warnOfMissed(r *steady.Receipt) {
	if r == nil {
		return
	}
	for _, m := range r.Missed {
		s.warn(missedText(m))
	}
}

func (s *session) detached(r steady.Rollout) error {
	if s.json() {
		s.print(object(r))
		return nil
	}
	s.print(fmt.Sprintf("rollout %d", r.ID))
	s.say(fmt.Sprintf("hint: steady watch %d", r.ID))
	return nil
}

// view chooses how to show a rollout.
func (s *session) view(r steady.Rollout) view {
	switch s.progress() {
	case progressJSON:
		return &jsonView{session: s}
	case progressQuiet:
		return &quietView{session: s}
	case progressTTY:
		return &liveView{out: s.err, width: func() int { return width(s.err) }, teller: newTeller(r.Project, s.errStyle(), false)}
	}
	return &plainView{out: s.err, teller: newTeller(r.Project, s.errStyle(), true)}
}
