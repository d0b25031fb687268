package rollout

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// stages is how far the canaries of a run are.
type stages struct {
	mu      sync.Mutex // before Engine.mu
	now     steady.Stage
	anew    bool          // a former daemon began it, and this one has not watched it yet
	begun   int           // the stage that was said to begin
	told    int           // the stage that was said to wait for somebody
	changed chan struct{} // closed when now is set; nil while nobody waits
}

// next is closed when the stage changes.
func (s *stages) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// shown is the stage under way, nil where none is.
func (s *stages) shown() *steady.Stage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.now.Under() {
		return nil
	}
	c := s.now
	return &c
}

// steers says whether anything that is asked of the stages still counts: after the
// last one is over all goes to the new release, whatever is said.
func (s *stages) steers() bool { return s.now.Under() && s.now.Promoted < s.now.Of }

// Promote ends the stage under way of the project's canaries, or with full all of
// them; rollout 0 means the project's only one. Who asks is told to others. A rollout
// that is paused stays so, but with full. steady.ErrNotRunning where no stage is under
// way.
func (e *Engine) Promote(ctx context.Context, project string, rollout int64, full bool, who string) (steady.Stage, error) {
	what := "promoted"
	if full {
		what = "promoted to the end"
	}
	return e.steer(ctx, project, rollout, "promote", what+by(who), func(s steady.Stage) steady.Stage { return s.Promote(full) })
}

// Pause keeps the shares as they are until Resume, also over a restart of the daemon.
// The new release is watched on, and a failure still takes it back.
func (e *Engine) Pause(ctx context.Context, project string, rollout int64, who string) (steady.Stage, error) {
	return e.steer(ctx, project, rollout, "pause", "paused"+by(who), func(s steady.Stage) steady.Stage { return s.Pause(time.Now()) })
}

// Resume lets the time of a paused stage go on.
func (e *Engine) Resume(ctx context.Context, project string, rollout int64, who string) (steady.Stage, error) {
	return e.steer(ctx, project, rollout, "resume", "resumed"+by(who), func(s steady.Stage) steady.Stage { return s.Resume(time.Now()) })
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return " by " + who
}

func (e *Engine) steer(ctx context.Context, project string, rollout int64, command, text string, to func(steady.Stage) steady.Stage) (steady.Stage, error) {
	e.mu.Lock()
	r, err := e.find(project, rollout, command)
	undone := err == nil && r.State != steady.RolloutRunning
	e.mu.Unlock()
	if err != nil {
		return steady.Stage{}, err
	}
	if undone {
		return steady.Stage{}, steady.ErrNotRunning.With("the rollout is being undone already", "steady watch")
	}
	r.stages.mu.Lock()
	defer r.stages.mu.Unlock()
	if !r.stages.steers() {
		return steady.Stage{}, steady.ErrNotRunning.With(fmt.Sprintf("rollout %d of %s is at no step of a canary", r.ID, project), fmt.Sprintf("steady watch %d", r.ID))
	}
	err = r.setStage(ctx, to(r.stages.now), text)
	return r.stages.now, err
}

// setStage journals the stage, and tells of it where there is something to tell.
// r.stages.mu is held.
func (r *run) setStage(ctx context.Context, s steady.Stage, text string) error {
	if err := r.engine.Journal.PutStage(ctx, r.ID, s); err != nil {
		return fmt.Errorf("store the canary's step: %w", err)
	}
	r.stages.now = s
	if r.stages.changed != nil {
		close(r.stages.changed)
		r.stages.changed = nil
	}
	if text == "" {
		return nil
	}
	return r.tellStage(ctx, s, text)
}

func (r *run) tellStage(ctx context.Context, s steady.Stage, text string) error {
	return r.emit(ctx, steady.Event{Kind: steady.EventStage, Stage: &s, Text: text})
}

// recall reads how far the canaries were when a former daemon died.
func (r *run) recall(ctx context.Context) error {
	s, err := r.engine.Journal.Stage(ctx, r.ID)
	if err != nil {
		return fmt.Errorf("read the canary's step: %w", err)
	}
	r.stages.now, r.stages.anew = s, s.Under()
	return nil
}

// enterStage begins the stage that a shift has put in force, if it has one. It is
// told by the watch behind it, when the shift has been.
func (r *run) enterStage(ctx context.Context, s steady.Step) error {
	if s.Stage == nil {
		return nil
	}
	r.stages.mu.Lock()
	defer r.stages.mu.Unlock()
	r.stages.anew = false
	return r.setStage(ctx, r.stages.now.Next(*s.Stage, time.Now()), "")
}

// leaveStages ends the canaries: their shares are about to be no more, for better or
// worse.
func (r *run) leaveStages(ctx context.Context) {
	r.stages.mu.Lock()
	defer r.stages.mu.Unlock()
	if !r.stages.now.Under() {
		return
	}
	r.stages.now.Number = r.stages.now.Of + 1
	if err := r.engine.Journal.PutStage(ctx, r.ID, r.stages.now); err != nil { // who reads it later plans no more by it
		r.engine.Log.Warn("store the end of the canary", "rollout", r.ID, "err", err)
	}
}

// clock says how long a watch still lasts.
type clock struct {
	run   *run
	step  steady.Step
	began time.Time
}

// clock begins the time of a watch. That of a stage which a former daemon began
// begins anew: nobody has watched it meanwhile.
func (r *run) clock(ctx context.Context, s steady.Step) clock {
	c := clock{run: r, step: s, began: time.Now()}
	if s.Stage == nil {
		return c
	}
	r.stages.mu.Lock()
	defer r.stages.mu.Unlock()
	if r.stages.begun == s.Stage.Number {
		return c
	}
	text := "begins"
	if r.stages.anew {
		text = "begins anew, with the daemon"
	}
	r.stages.now, r.stages.anew, r.stages.begun = r.stages.now.Again(c.began), false, s.Stage.Number
	r.noteStage(ctx, text)
	return c
}

// noteStage tells of the stage under way; losing that is no reason to fail.
// r.stages.mu is held.
func (r *run) noteStage(ctx context.Context, text string) {
	if err := r.tellStage(ctx, r.stages.now, text); err != nil {
		r.engine.Log.Warn("event lost", "rollout", r.ID, "err", err)
	}
}

// left is 0 where the watch is over; for a stage that stands it is as long as the
// stage is.
func (c clock) left(ctx context.Context) time.Duration {
	if c.step.Stage == nil {
		return max(0, c.step.For-time.Since(c.began))
	}
	return c.run.stageLeft(ctx)
}

// wait waits for d, or until the stage is another.
func (c clock) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.run.stages.next():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// watched is how long the watch was.
func (c clock) watched() string {
	if c.step.Stage == nil {
		return c.step.For.String()
	}
	return time.Since(c.began).Round(100 * time.Millisecond).String()
}

// stageLeft is how long the stage under way still lasts. One that is over stays
// over: what is asked from then on is about the next.
func (r *run) stageLeft(ctx context.Context) time.Duration {
	r.stages.mu.Lock()
	defer r.stages.mu.Unlock()
	s, now := &r.stages.now, time.Now()
	if s.Over(now) {
		s.Promoted = max(s.Promoted, s.Number)
		return 0
	}
	left := s.Left(now)
	if s.Manual && !s.Paused && left == 0 && r.stages.told < s.Number {
		r.stages.told = s.Number
		r.noteStage(ctx, "waits for somebody to promote it")
	}
	return max(left, time.Second)
}
