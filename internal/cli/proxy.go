package cli

import (
	"github.com/spf13/cobra"
)

func (s *session) proxyCommand() *cobra.Command {
	var f serviceFlags
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Run the proxy, which owns the published ports",
		Long: `Run the proxy, which listens on the published ports and passes on what comes to
the replicas that serve. It needs no Docker Engine and no daemon: it begins with
the table it last had. The daemon starts it where nothing else does. At SIGHUP or
SIGUSR1 it opens its access log anew.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.absolute(); err != nil {
				return err
			}
			return stopped(c.Context(), s.runProxy(c.Context(), f))
		},
	}
	f.add(c.Flags())
	return c
}
