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
the other commands on a unix socket. It starts a proxy where none answers, and
leaves it serving when it stops. An unfinished rollout is taken up again.
DOCKER_HOST names another Engine; --socket or STEADY_SOCKET moves its own socket,
which is steady.sock in --run-dir otherwise. The access log is the proxy's to write:
a proxy that runs already keeps the one it was started with.`,
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
	c.Flags().IntVar(&keep, "keep-images", keep, "after each rollout keep the images of the serving release and of this `number` before it, as steady prune --keep does; all unless given")
	c.Flags().StringVar(&metrics, "metrics", "", "`address` for /metrics (Prometheus), /healthz and /readyz, such as 127.0.0.1:9180; none unless given")
	return c
}
