package cli

import (
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

func (s *session) downCommand() *cobra.Command {
	var volumes, detach bool
	var waitLock time.Duration
	c := &cobra.Command{
		Use:   "down",
		Short: "Remove a project: drain, stop, remove",
		Long: `Remove a project's containers and networks, after what is in flight has ended.
Volumes stay unless asked for; what is external always stays.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			o := s.waits(project, steady.Options{WaitLock: waitLock, Who: s.who()})
			return s.carry(c.Context(), detach, func(b api.Backend) (steady.Rollout, error) {
				return b.Down(c.Context(), project, volumes, o)
			})
		},
	}
	c.Flags().BoolVarP(&volumes, "volumes", "v", false, "remove the project's volumes too, with all they hold, and the images that only its earlier releases need")
	s.addBudget(c.Flags())
	c.Flags().BoolVarP(&detach, "detach", "d", false, "return once the rollout is accepted")
	waitLockFlag(c.Flags(), &waitLock)
	return c
}
