package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

func (s *session) watchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "watch [ROLLOUT]",
		Short: "Follow a rollout from its beginning",
		Long: `Show the given rollout, or else the project's latest, from its beginning to its end,
and exit as the command that began it would. Interrupting this command does not stop
the rollout.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := s.rollout(c.Context(), c.CommandPath(), args)
			if err != nil {
				return err
			}
			return s.follow(c.Context(), r)
		},
	}
	s.addBudget(c.Flags())
	return c
}

// rollout is the one named, else the project's latest.
func (s *session) rollout(ctx context.Context, command string, args []string) (steady.Rollout, error) {
	if len(args) > 0 {
		id, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil || id < 1 {
			return steady.Rollout{}, usage(command, "a rollout is a number, not "+args[0])
		}
		return s.backend().Rollout(ctx, id)
	}
	project, err := s.project(ctx)
	if err != nil {
		return steady.Rollout{}, err
	}
	latest, err := s.backend().Rollouts(ctx, project, 1)
	if err != nil {
		return steady.Rollout{}, err
	}
	if len(latest) == 0 {
		return steady.Rollout{}, steady.ErrNoRollout.With(project+" has had no rollout", "steady deploy")
	}
	return latest[0], nil
}
