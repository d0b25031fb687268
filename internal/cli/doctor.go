package cli

import (
	"context"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
	"gesalpai.ch/steady/internal/daemon"
)

type doctorFlags struct {
	stateDir, runDir, nginx string
}

func (s *session) doctorCommand() *cobra.Command {
	var o doctorFlags
	c := &cobra.Command{
		Use:   "doctor [SERVICE...]",
		Short: "Find out what is wrong, and what mends it",
		Long: `Find out what is wrong on this host and in the project: a container that does not
start, a failing healthcheck, nginx answering 502, memory near its limit, ports
taken or open past the firewall, a variable that nobody sets, a process that does
not hear its stop signal, and steady's own parts. It works without a daemon and
without an Engine, takes some seconds at most and changes nothing. As nginx -t
does, asking nginx opens the log files that its configuration names. docs/doctor.md
lists the rules. The exit status is 20 when the worst is a warning and 21 when it
is an error.`,
		Example: `sudo steady doctor
sudo steady doctor api --json`,
		ValidArgsFunction: s.completeServices,
		RunE:              func(c *cobra.Command, args []string) error { return s.doctor(c.Context(), args, o) },
	}
	c.Flags().StringVar(&o.stateDir, "state", defaultStateDir, "`directory` of steady's state")
	c.Flags().StringVar(&o.runDir, "run-dir", "", "`directory` of steady's sockets (default where the daemon says that its proxy is)")
	c.Flags().StringVar(&o.nginx, "nginx-config", "", "configuration `file` of nginx (default nginx's own)")
	return c
}

func (s *session) doctor(ctx context.Context, services []string, o doctorFlags) error {
	x := daemon.Examination{
		Project: s.shared.project, Services: services, Version: buildVersion(),
		Socket: s.shared.socket, StateDir: o.stateDir, RunDir: o.runDir, DockerHost: s.getenv("DOCKER_HOST"), NginxConfig: o.nginx,
	}
	if s.composeFileInReach() {
		survey, err := compose.Look(ctx, s.composeOptions())
		if err == nil {
			x.Survey, x.Project = &survey, survey.Project
		}
		x.FilesError = err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	report := daemon.Examine(ctx, x)
	if s.json() {
		s.print(object(map[string]any{"project": x.Project, "looked": report.Looked, "findings": report.Findings}))
		return found(report.Findings, string(steady.Warning))
	}
	for _, line := range report.Looked {
		s.print(s.outStyle().dim("looked at  " + printable(line)))
	}
	s.showFindings(report.Findings)
	s.print(counted(report.Findings))
	return found(report.Findings, string(steady.Warning))
}
