package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

// statsEvery is the pace of the live figures.
const statsEvery = time.Second

func (s *session) statsCommand() *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use:   "stats [SERVICE...]",
		Short: "Show live what replicas use and how busy they are",
		Long: `Show the CPU and memory that each running replica uses, with its limits, and what is
in flight; for each service requests per second, errors and latencies of the last 5
to 10 seconds. On a terminal it is updated every second until you interrupt it;
otherwise, and with --no-stream or --json, it is shown once.`,
		ValidArgsFunction: s.completeServices,
		RunE: func(c *cobra.Command, args []string) error {
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			if once || s.json() || !isTerminal(s.out) {
				return s.statsOnce(c.Context(), project, args)
			}
			return s.statsLive(c.Context(), project, args)
		},
	}
	c.Flags().BoolVar(&once, "no-stream", false, "show it once and exit")
	return c
}

// statsOf is a project's status with the services asked for only.
func (s *session) statsOf(ctx context.Context, project string, services []string) (steady.Status, error) {
	status, err := s.backend().Status(ctx, project)
	if err != nil || len(services) == 0 {
		return status, err
	}
	var specs []steady.Spec
	for _, v := range status.Services {
		specs = append(specs, steady.Spec{Service: v.Service})
	}
	for _, name := range services {
		if !slices.ContainsFunc(specs, func(s steady.Spec) bool { return s.Service == name }) {
			return status, noService(project, name, specs)
		}
	}
	status.Services = slices.DeleteFunc(status.Services, func(v steady.ServiceStatus) bool { return !slices.Contains(services, v.Service) })
	return status, nil
}

func (s *session) statsOnce(ctx context.Context, project string, services []string) error {
	status, err := s.statsOf(ctx, project, services)
	if err != nil {
		return err
	}
	if s.json() {
		s.print(object(status))
		return nil
	}
	for _, u := range status.Unknown {
		s.warn(u)
	}
	_, err = fmt.Fprint(s.out, statsTable(status))
	return err
}

// statsLive draws a picture a second until ctx ends.
func (s *session) statsLive(ctx context.Context, project string, services []string) error {
	tick := time.NewTicker(statsEvery)
	defer tick.Stop()
	for {
		status, err := s.statsOf(ctx, project, services)
		if err != nil {
			return err
		}
		columns, rows := size(s.out)
		if _, err := io.WriteString(s.out, picture(statsTable(status), status.Unknown, columns, rows)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// picture is a table drawn over the one before: each line is cut to the screen, as
// one that wraps would push the first out of it.
func picture(table string, unknown []string, columns, rows int) string {
	var b strings.Builder
	b.WriteString("\x1b[H") // to the first corner; what is there is overwritten, so that nothing flickers
	lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
	for i, line := range append(lines, unknown...) {
		if i == rows-1 {
			break
		}
		b.WriteString(clip(line, max(columns, 20)) + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	return b.String()
}

func statsTable(status steady.Status) string {
	rows := [][]string{{"REPLICA", "REQ/S", "ERRORS", "P50", "P99", "IN FLIGHT", "STREAMS", "CPU", "MEMORY"}}
	for _, v := range status.Services {
		pace := paceCells(v, v.Lately)
		for _, r := range v.Replicas {
			if !r.Running() {
				continue
			}
			row := append([]string{short(status.Project, r.Name)}, pace...)
			rows = append(rows, append(row, number(int64(r.Open.Requests)), number(int64(r.Open.Streams)), cpuText(r), memoryText(r)))
			pace = make([]string, len(pace)) // counted by service, not by replica
		}
	}
	return table(rows)
}
