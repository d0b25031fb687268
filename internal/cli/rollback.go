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
		Long: `Go back to an older release: what its Compose files said, its environment and its
image, all as they were, but for the text of mounted files, which is named where it
differs. Where nothing else does, nothing is changed, with status 0. Without a service, all services that serve the newest
release go back to what each served before it. It is a rollout like any other, and
can be rolled back itself with --to.

An image that is gone from this machine is pulled again by its digest. One that
was built here and never had a digest can only be built anew, which --rebuild does,
from the build context as it is now: check out the files of then first. That makes
a new release, and gives its image the tag that the file names.`,
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
	c.Flags().BoolVar(&rebuild, "rebuild", false, "build anew what is gone and cannot be pulled")
	c.Flags().BoolVarP(&detach, "detach", "d", false, "return once the rollout is accepted")
	s.addBudget(c.Flags())
	waitLockFlag(c.Flags(), &waitLock)
	return c
}
