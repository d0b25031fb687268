package cli

import (
	"github.com/spf13/cobra"
)

func (s *session) daemonCommand() *cobra.Command {
	var f serviceFlags
	var metrics string
	keep := -1
	c := &cobra.Command{
		Use:   "daemon",
		Short: "Run the daemon, which carries out rollouts",
		Long: `Run the daemon, which talks to the Docker Engine, carries out rollouts and serves
the other commands on a unix socket. It starts a proxy if none runs, and leaves it
running when it stops. It continues an unfinished rollout. DOCKER_HOST names another
Engine. The socket is steady.sock in --run-dir, or what --socket or STEADY_SOCKET
says. The proxy writes the access log: a proxy that runs already keeps the log it
was started with.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.absolute(); err != nil {
				return err
			}
			if c.Flags().Changed("keep-images") && keep < 0 {
				return usage(c.CommandPath(), "--keep-images must not be below 0")
			}
			return stopped(c.Context(), s.runDaemon(c.Context(), f, metrics, keep, c.Flags().Changed("socket")))
		},
	}
	f.add(c.Flags())
	c.Flags().IntVar(&keep, "keep-images", keep, "after each rollout keep only the images of the serving release and of this `number` of others, as steady prune --keep does; all unless given")
	c.Flags().StringVar(&metrics, "metrics", "", "`address` for /metrics (Prometheus), /healthz and /readyz, such as 127.0.0.1:9180; none unless given")
	return c
}
