package cli

import (
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

func (s *session) rollbackCommand() *cobra.Command {
	var (
		to       int
		detach   bool
		rebuild  bool
		waitLock time.Duration
	)
	c := &cobra.Command{
		Use:   "rollback [SERVICE...]",
		Short: "Go back to an older release: files, environment and image together",
		Long: `Go back to an older release, with the configuration, environment and image it had.
The content of mounted files is not part of a release: files that differ are named.
If nothing else differs, nothing is changed and the exit status is 0. Without a
service, all services that serve the newest release go back to what each served
before. A rollback is a rollout like any other; --to goes forward again.

An image that is missing on this machine is pulled again by its digest. One that was
built here has no digest and can only be built again: check out the files of that
time and use --rebuild. That makes a new release, and its image gets the tag that
the file names.`,
		Example: `  steady rollback
  steady rollback api --to 41
  git checkout v1.4 && steady rollback api --rebuild`,
		ValidArgsFunction: s.completeServices,
		RunE: func(c *cobra.Command, args []string) error {
			if to < 0 {
				return usage(c.CommandPath(), "--to wants the number of a release")
			}
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			o := s.waits(project, steady.Options{Services: args, Rebuild: rebuild, WaitLock: waitLock, Who: s.who()})
			return s.carry(c.Context(), detach, func(b api.Backend) (steady.Rollout, error) {
				return b.Rollback(c.Context(), project, to, o)
			})
		},
	}
	c.Flags().IntVar(&to, "to", 0, "`release` to go back to (default: the one before)")
	c.Flags().BoolVar(&rebuild, "rebuild", false, "build images that are missing and cannot be pulled")
	c.Flags().BoolVarP(&detach, "detach", "d", false, "return once the rollout is accepted")
	s.addBudget(c.Flags())
	waitLockFlag(c.Flags(), &waitLock)
	return c
}
