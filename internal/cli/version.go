package cli

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

// version is set by a release's build:
// -ldflags "-X gesalpai.ch/steady/internal/cli.version=v1.2.3".
var version string

// buildVersion is what the build was told, else what Go knows of it.
func buildVersion() string {
	if version != "" {
		return version
	}
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "(devel)"
}

func (s *session) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the versions of this command, the daemon and the Engine",
		Long:  "Show the versions of this command and, where one answers, of the daemon and its\nDocker Engine.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := s.backend().Version(c.Context())
			if err != nil && !isAny(err, steady.ErrNoDaemon) {
				return err
			}
			if s.json() {
				answer := map[string]any{"steady": buildVersion()}
				if err == nil {
					answer["daemon"] = d
				}
				s.print(object(answer))
				return nil
			}
			s.print("steady  " + buildVersion())
			s.print("daemon  " + daemonText(d, err))
			return nil
		},
	}
}

func daemonText(v api.Version, err error) string {
	if err != nil {
		return err.Error()
	}
	text := v.Steady + ", " + v.Go
	if v.Engine == "" {
		text += ", no Docker Engine answers"
	} else {
		text += fmt.Sprintf(", Docker Engine %s, API %s", v.Engine, v.API)
	}
	if v.Proxy == 0 {
		return text + ", no proxy answers"
	}
	return text + fmt.Sprintf(", proxy pid %d", v.Proxy)
}
