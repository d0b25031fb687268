package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

type logFlags struct {
	follow, timestamps, noPrefix bool
	tail, since                  string
	release                      int
}

func (s *session) logsCommand() *cobra.Command {
	var f logFlags
	c := &cobra.Command{
		Use:               "logs [SERVICE...]",
		Short:             "Show what containers wrote",
		Long:              "Show the logs of the project's containers, of all releases unless --release names one.\nOf a release whose deploy failed, show what was kept. With --follow, containers that\nare started later are included.",
		ValidArgsFunction: s.completeServices,
		RunE:              func(c *cobra.Command, args []string) error { return s.logs(c.Context(), f, args) },
	}
	fs := c.Flags()
	fs.BoolVarP(&f.follow, "follow", "f", false, "follow: show new lines as they are written")
	fs.StringVarP(&f.tail, "tail", "n", all, "last `number` of lines per container, or all")
	fs.StringVar(&f.since, "since", "", "lines since a `time`: 10m, 2026-11-01T12:00:00Z")
	fs.IntVar(&f.release, "release", 0, "show only this `release`")
	fs.BoolVarP(&f.timestamps, "timestamps", "t", false, "show when each line was written")
	fs.BoolVar(&f.noPrefix, "no-log-prefix", false, "leave out the container's name")
	fs.Var(&s.shared.files, "file", "Compose `file`; -f is --follow here")
	return c
}

func (s *session) logs(ctx context.Context, f logFlags, services []string) error {
	tail, err := tailLines(f.tail)
	if err != nil {
		return err
	}
	since, err := sinceTime(f.since, time.Now())
	if err != nil {
		return err
	}
	project, err := s.project(ctx)
	if err != nil {
		return err
	}
	q := steady.LogQuery{Project: project, Services: services, Release: f.release, Follow: f.follow, Tail: tail, Since: since}
	printer := logPrinter{session: s, flags: f, project: project, style: s.outStyle()}
	return s.backend().Logs(ctx, q, printer.print)
}

// logPrinter aligns the container names as they come.
type logPrinter struct {
	session *session
	flags   logFlags
	project string
	style   style
	column  int
}

func (p *logPrinter) print(l steady.LogLine) error {
	text := l.Text
	if p.session.json() {
		text = object(l)
	} else {
		if p.flags.timestamps {
			text = l.Time.UTC().Format(time.RFC3339Nano) + " " + text
		}
		if !p.flags.noPrefix {
			name := short(p.project, l.Replica)
			p.column = max(p.column, len(name))
			text = p.style.dim(pad(name, p.column)+" |") + " " + text
		}
	}
	_, err := fmt.Fprintln(p.session.out, text)
	return err
}

func tailLines(s string) (int, error) {
	if s == all {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, usage("steady logs", "--tail wants a number of lines or all, not "+s)
	}
	return n, nil
}

// sinceTime reads a moment as docker's own --since does: a duration before now,
// an RFC 3339 time, or seconds since 1970.
func sinceTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	return time.Time{}, usage("steady logs", "--since wants a duration or a time, not "+s)
}
