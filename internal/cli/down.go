package cli

import (
	"slices"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

func (s *session) downCommand() *cobra.Command {
	var volumes, detach bool
	var waitLock time.Duration
	c := &cobra.Command{
		Use:   "down [SERVICE...]",
		Short: "Remove a project, or services of it: drain, stop, remove",
		Long: `Remove a project's containers and networks, after what is in flight has ended; or
those of the services named, whether they are in the Compose file or not: the rest of
the project stays as it is. Volumes stay unless asked for; what is external always
stays. Of services that are named, --volumes removes what no other service mounts.`,
		Example: `  steady down
  steady down old-worker --volumes`,
		ValidArgsFunction: s.completeServices,
		RunE: func(c *cobra.Command, args []string) error {
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			o := s.waits(project, steady.Options{Services: slices.Compact(slices.Sorted(slices.Values(args))), WaitLock: waitLock, Who: s.who()})
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
