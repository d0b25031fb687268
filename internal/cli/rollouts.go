package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

func (s *session) rolloutsCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:   "rollouts",
		Short: "List rollouts, newest first",
		Long: `List the project's rollouts, newest first: how each ended, how long it took, and
what it lost of how many requests. steady receipt tells more of one.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 0 {
				return usage(c.CommandPath(), "--limit wants a number, 0 for all")
			}
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			all, err := s.backend().Rollouts(c.Context(), project, limit)
			if err != nil {
				return err
			}
			if s.json() {
				s.print(object(all))
				return nil
			}
			if len(all) == 0 {
				s.say("no rollout yet")
				return nil
			}
			s.warnOfUnstored(all)
			_, err = fmt.Fprint(s.out, rolloutTable(all, time.Now()))
			return err
		},
	}
	c.Flags().IntVarP(&limit, "limit", "n", 20, "how `many` to list at most; 0 for all")
	return c
}

// warnOfUnstored says which rollouts the store does not have as they are, and why.
func (s *session) warnOfUnstored(all []steady.Rollout) {
	for _, r := range all {
		if e := r.Unstored; e != nil {
			s.warn(printable(e.Text))
			s.say("hint: " + e.Hint)
		}
	}
}

func rolloutTable(all []steady.Rollout, now time.Time) string {
	rows := [][]string{{"ROLLOUT", "KIND", "STATE", "SERVICES", "BY", "AGE", "TOOK", "REQUESTS", "LOST", "STREAMS CUT"}}
	for _, r := range all {
		took, requests, lost, cut := now.Sub(r.Started), "-", "-", "-"
		if r.Final() {
			took = r.Ended.Sub(r.Started)
		}
		if r.Receipt != nil {
			l := r.Receipt.Losses()
			took, requests, lost, cut = r.Receipt.Took, number(l.Requests), number(l.Lost), number(l.StreamsCut)
			if len(r.Receipt.Missed) > 0 { // that many at least
				lost, cut = lost+"+", cut+"+"
			}
		}
		rows = append(rows, []string{strconv.FormatInt(r.ID, 10), r.Kind, r.State, orDash(concerned(r)), orDash(printable(r.Who)), age(now, r.Started), span(took), requests, lost, cut})
	}
	return table(rows)
}

// concerned names the services that a rollout changed, or those it is about.
func concerned(r steady.Rollout) string {
	names := r.Services
	if r.Receipt != nil && len(r.Receipt.Services) > 0 {
		names = nil
		for _, s := range r.Receipt.Services {
			names = append(names, s.Service)
		}
	}
	if len(names) > 4 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", len(names)-3)
	}
	return strings.Join(names, ", ")
}
