package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

func (s *session) promoteCommand() *cobra.Command {
	var full bool
	c := &cobra.Command{
		Use:   "promote [ROLLOUT]",
		Short: "Go on to the next step of a canary at once",
		Long: `Take the next step of a canary now; after the last step, or with --full, give the new
release all traffic. It applies to the given rollout, or else to the project's
running one, and returns at once; steady watch shows what follows. A paused rollout
stays paused at the next step, unless --full is given.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return s.steer(c.Context(), c.CommandPath(), args, "promoted", func(ctx context.Context, b api.Backend, r steady.Rollout) (steady.Stage, error) {
				return b.Promote(ctx, r.Project, r.ID, full, s.who())
			})
		},
	}
	c.Flags().BoolVar(&full, "full", false, "skip the remaining steps")
	return c
}

func (s *session) pauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pause [ROLLOUT]",
		Short: "Keep a canary at the share it has",
		Long: `Keep a canary at its share until steady resume, also after a restart of the daemon:
in the given rollout, or else in the project's running one. The new release is still
watched, and a failure still shifts all traffic back to the old one.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return s.steer(c.Context(), c.CommandPath(), args, "paused", func(ctx context.Context, b api.Backend, r steady.Rollout) (steady.Stage, error) {
				return b.Pause(ctx, r.Project, r.ID, s.who())
			})
		},
	}
}

func (s *session) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resume [ROLLOUT]",
		Short: "Let a paused canary go on",
		Long: `Let a paused canary go on: in the given rollout, or else in the project's running
one. The step continues with the time it had left, or with its whole time if the
daemon was restarted in between.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return s.steer(c.Context(), c.CommandPath(), args, "resumed", func(ctx context.Context, b api.Backend, r steady.Rollout) (steady.Stage, error) {
				return b.Resume(ctx, r.Project, r.ID, s.who())
			})
		},
	}
}

// steer asks something of a rollout's canary and tells what has become of it.
func (s *session) steer(ctx context.Context, command string, args []string, did string, ask func(context.Context, api.Backend, steady.Rollout) (steady.Stage, error)) error {
	r, err := s.rollout(ctx, command, args)
	if err != nil {
		return err
	}
	if r.Final() {
		return steady.ErrNotRunning.With(fmt.Sprintf("no rollout runs; rollout %d of %s has ended: %s", r.ID, r.Project, r.State), "steady status")
	}
	stage, err := ask(ctx, s.backend(), r)
	if err != nil {
		return err
	}
	if s.json() {
		s.print(object(stage))
		return nil
	}
	s.print(fmt.Sprintf("%s %s, %s", did, r.Project, stageText(stage, time.Now())))
	s.say("hint: " + stageHint(stage, r.ID))
	return nil
}

// stageText tells where a canary stands: "release 8: step 2 of 3, 25 %, 1m12s left".
func stageText(s steady.Stage, now time.Time) string {
	text, left := s.String(), s.Left(now)
	switch {
	case s.Promoted >= s.Number && s.Number >= s.Of, s.Promoted >= s.Of:
		return text + ", then all"
	case s.Promoted >= s.Number:
		return text + ", then the next"
	case s.Paused:
		return text + ", " + span(left) + " left, paused"
	case s.Manual && left == 0:
		return text + ", waits to be promoted"
	}
	return text + ", " + span(left) + " left"
}

// onTrial names the release that a split tries out, which a plan may not know yet.
func onTrial(s steady.Split) string {
	if s.Release == 0 {
		return "the new release"
	}
	return fmt.Sprintf("release %d", s.Release)
}

// stageHint is what can be done about it.
func stageHint(s steady.Stage, rollout int64) string {
	switch {
	case s.Promoted >= s.Number:
		return fmt.Sprintf("steady watch %d", rollout)
	case s.Paused:
		return "steady resume goes on, steady promote takes the next step, steady abort goes back"
	case s.Manual && s.Left(time.Now()) == 0:
		return "steady promote goes on, steady abort goes back"
	}
	return "steady promote goes on at once, steady pause stays, steady abort goes back"
}

// tellStage tells what has become of a stage, and the first time what can be done.
func (t *teller) tellStage(e steady.Event) []string {
	if e.Stage == nil {
		return nil
	}
	word := t.style.green(pad("canary", 7))
	text := stageText(*e.Stage, e.Time)
	if e.Text != "begins" {
		text += "; " + printable(e.Text)
	}
	out := []string{t.line("", word, text)}
	if !t.steered || e.Stage.Paused || e.Stage.Manual {
		t.steered = true
		if hint := stageHint(*e.Stage, e.Rollout); e.Stage.Promoted < e.Stage.Number {
			out = append(out, t.line("", t.style.dim(pad("", 7)), t.style.dim(hint)))
		}
	}
	return out
}
