package cli

import (
	"github.com/spf13/cobra"
)

func (s *session) proxyCommand() *cobra.Command {
	var f serviceFlags
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Run the proxy, which owns the published ports",
		Long: `Run the proxy, which listens on the published ports and passes requests to the
serving replicas. It needs neither a Docker Engine nor a daemon: it starts with the
routing table it last had. The daemon starts a proxy if none runs. At SIGHUP or
SIGUSR1 it opens its access log again.`,
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
