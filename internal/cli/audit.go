package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

func (s *session) auditCommand() *cobra.Command {
	var since time.Duration
	var last int
	c := &cobra.Command{
		Use:   "audit",
		Short: "Show who changed what, from where, and what came of it",
		Long: `Show who changed what, from where, with which files, and what came of it, newest
first: every command that changes something, including those that were refused, of
all projects or of the one named with --project-name. WHO is the user that the
caller named, and, where they differ, the user that the kernel reports and the one
who had logged in. FILES is a digest of the Compose files and the names of the env
files. The log holds no value of a variable. Entries cannot be changed; they are
kept for ` + "400" + ` days.`,
		Example: "  steady audit --since 24h\n  steady audit -n 1 --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if last < 0 || since < 0 {
				return usage(c.CommandPath(), "--limit wants a number, 0 for all, and --since a duration above 0")
			}
			q := steady.AuditQuery{Project: s.shared.project, Limit: last}
			if since > 0 {
				q.Since = time.Now().Add(-since)
			}
			deeds, err := s.backend().Deeds(c.Context(), q)
			if err != nil {
				return err
			}
			if s.json() {
				s.print(object(deeds))
				return nil
			}
			if len(deeds) == 0 {
				s.say("nothing was changed yet")
				return nil
			}
			_, err = fmt.Fprint(s.out, deedTable(deeds))
			return err
		},
	}
	c.Flags().DurationVar(&since, "since", 0, "only what is younger than a `duration`, such as 24h")
	c.Flags().IntVarP(&last, "limit", "n", 20, "how `many` to list at most; 0 for all")
	return c
}

func deedTable(deeds []steady.Deed) string {
	rows := [][]string{{"TIME", "WHO", "FROM", "WHAT", "OUTCOME", "FILES", "DIGEST"}}
	for _, d := range deeds {
		rows = append(rows, []string{d.Time.Local().Format("2006-01-02 15:04:05"), doer(d.Origin), whence(d.Origin), what(d), outcome(d),
			orDash(files(d.Origin)), orDash(shortDigest(d.Origin.Digest))})
	}
	for _, r := range rows {
		for i := range r {
			r[i] = printable(r[i])
		}
	}
	return table(rows)
}

// doer is who it was by its own word, and by the kernel's where that differs.
func doer(o steady.Origin) string {
	who := orDash(o.Who)
	p := o.Peer
	if p == nil {
		return who
	}
	name, _, _ := strings.Cut(o.Who, "@")
	var real []string
	if p.User != name {
		real = append(real, fmt.Sprintf("uid %d", p.UID))
	}
	if p.Login != "" && p.Login != name {
		real = append(real, "logged in as "+p.Login)
	}
	if len(real) == 0 {
		return who
	}
	return who + " (" + strings.Join(real, ", ") + ")"
}

// whence is where it came from: a CI job, a client of SSH, or a directory here.
func whence(o steady.Origin) string {
	var out []string
	if len(o.CI) > 0 {
		var values []string
		for _, v := range o.CI {
			_, value, _ := strings.Cut(v, "=")
			values = append(values, value)
		}
		out = append(out, "CI "+strings.Join(values, " "))
	}
	if o.From != "" {
		out = append(out, o.From)
	}
	if o.Dir != "" {
		out = append(out, o.Dir)
	}
	return orDash(strings.Join(out, " "))
}

func what(d steady.Deed) string {
	out := d.Command
	if d.Project != "" {
		out += " " + steady.Lease{Project: d.Project, Services: d.Services}.Ref()
	}
	return strings.TrimSpace(out + " " + strings.Join(d.Asked, " "))
}

// outcome is what came of it; of a rollout, how far it is.
func outcome(d steady.Deed) string {
	switch {
	case d.Rollout > 0 && d.State != "":
		return "rollout " + strconv.FormatInt(d.Rollout, 10) + " " + d.State
	case d.Outcome == steady.DeedRefused && d.Code != "":
		return "refused: " + d.Code
	case d.Outcome == "":
		return "not known"
	}
	return d.Outcome
}

func files(o steady.Origin) string {
	var names []string
	for _, f := range append(slices.Clone(o.Files), o.EnvFiles...) {
		names = append(names, filepath.Base(f))
	}
	return strings.Join(names, ", ")
}
