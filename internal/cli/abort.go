package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

func (s *session) abortCommand() *cobra.Command {
	var detach bool
	c := &cobra.Command{
		Use:   "abort [ROLLOUT]",
		Short: "Stop a running rollout and undo it",
		Long: `Stop a running rollout and undo it: the one given, else the one that runs in the
project. It returns when the old release is as it was. Once the old release is
being removed it is too late; roll back then.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return s.abort(c.Context(), args, detach) },
	}
	c.Flags().BoolVarP(&detach, "detach", "d", false, "return at once, without waiting for the undo to end")
	return c
}

func (s *session) abort(ctx context.Context, args []string, detach bool) error {
	r, err := s.rollout(ctx, "steady abort", args)
	if err != nil {
		return err
	}
	if r.Final() {
		return steady.ErrNotRunning.With(fmt.Sprintf("no rollout runs; rollout %d of %s has ended: %s", r.ID, r.Project, r.State), "steady rollback")
	}
	if err := s.backend().Abort(ctx, r.Project, r.ID); err != nil {
		return err
	}
	if detach {
		return s.detached(r)
	}
	err = s.follow(ctx, r)
	var u *unfinished
	if !errors.As(err, &u) || u.state != steady.RolloutAborted {
		return err
	}
	if p := s.progress(); p != progressJSON && p != progressQuiet {
		s.print(aborted(r, u.cause))
	}
	return nil
}

func aborted(r steady.Rollout, cause *steady.Error) string {
	text := fmt.Sprintf("aborted rollout %d of %s", r.ID, r.Project)
	if cause.Serving > 0 {
		text += fmt.Sprintf(": release %d serves", cause.Serving)
	}
	return text
}
