package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

func (s *session) scaleCommand() *cobra.Command {
	var detach bool
	var waitLock time.Duration
	c := &cobra.Command{
		Use:     "scale SERVICE=N...",
		Short:   "Change how many replicas of the serving release run",
		Long:    "Change how many replicas of the serving release run. It makes no new release.\nReplicas are drained before they are removed. The next deploy goes back to the number\nin the Compose file.",
		Example: "  steady scale api=3 report-service=2",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			wanted, err := replicas(args)
			if err != nil {
				return err
			}
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			o := s.waits(project, steady.Options{WaitLock: waitLock, Who: s.who()})
			return s.carry(c.Context(), detach, func(b api.Backend) (steady.Rollout, error) {
				return b.Scale(c.Context(), project, wanted, o)
			})
		},
	}
	s.addBudget(c.Flags())
	c.Flags().BoolVarP(&detach, "detach", "d", false, "return once the rollout is accepted")
	waitLockFlag(c.Flags(), &waitLock)
	return c
}

func replicas(args []string) (map[string]int, error) {
	out := map[string]int{}
	for _, a := range args {
		service, number, ok := strings.Cut(a, "=")
		n, err := strconv.Atoi(number)
		if !ok || service == "" || err != nil || n < 0 {
			return nil, usage("steady scale", "not SERVICE=N: "+a)
		}
		out[service] = n
	}
	return out, nil
}
