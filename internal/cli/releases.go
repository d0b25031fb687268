package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

// releaseLine is one release as `releases --json` tells it: without its spec,
// which holds secrets.
type releaseLine struct {
	Service string    `json:"service"`
	Release int       `json:"release"`
	Serving bool      `json:"serving"`
	Image   string    `json:"image"`
	Digest  string    `json:"digest"` // of the image: its repository digest, else its ID
	Here    bool      `json:"image_here"`
	Created time.Time `json:"created"`
	Rollout int64     `json:"rollout"`
}

func (s *session) releasesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "releases [SERVICE...]",
		Short: "List releases, newest first",
		Long: `List the project's releases, newest first, with the serving ones marked, and whether
each image is still on this machine (HERE). A rollback pulls a missing image by its
digest; one that was built here can only be built again (rollback --rebuild).`,
		ValidArgsFunction: s.completeServices,
		RunE: func(c *cobra.Command, args []string) error {
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			all, serving, err := s.backend().Releases(c.Context(), project)
			if err != nil {
				return err
			}
			if err := released(project, all, args); err != nil {
				return err
			}
			lines := releaseLines(all, serving, args)
			if s.json() {
				s.print(object(lines))
				return nil
			}
			if len(lines) == 0 {
				s.say("no release yet")
				return nil
			}
			_, err = fmt.Fprint(s.out, releaseTable(lines, time.Now()))
			return err
		},
	}
}

// released refuses a service that has no release.
func released(project string, all []steady.Release, services []string) error {
	var known []steady.Spec
	for _, r := range all {
		if !slices.ContainsFunc(known, func(s steady.Spec) bool { return s.Service == r.Service }) {
			known = append(known, steady.Spec{Service: r.Service})
		}
	}
	for _, name := range services {
		if !slices.ContainsFunc(known, func(s steady.Spec) bool { return s.Service == name }) {
			return noService(project, name, known)
		}
	}
	return nil
}

func releaseLines(all []steady.Release, serving map[string]int, services []string) []releaseLine {
	out := []releaseLine{}
	for _, r := range all {
		if len(services) > 0 && !slices.Contains(services, r.Service) {
			continue
		}
		digest := r.Image.Digest
		if digest == "" {
			digest = r.Image.ID
		}
		out = append(out, releaseLine{
			Service: r.Service, Release: r.Number, Serving: serving[r.Service] == r.Number,
			Image: r.Spec.Image, Digest: digest, Here: !r.ImageGone, Created: r.Created, Rollout: r.Rollout,
		})
	}
	return out
}

// here says whether the release's image is on the machine: one that has a repository
// digest is pulled again by a rollback.
func here(r releaseLine) string {
	switch {
	case r.Here:
		return "yes"
	case strings.Contains(r.Digest, "@"):
		return "gone, pulled again"
	}
	return "gone"
}

func releaseTable(lines []releaseLine, now time.Time) string {
	rows := [][]string{{"SERVICE", "RELEASE", "SERVES", "IMAGE", "DIGEST", "HERE", "ROLLOUT", "AGE"}}
	for _, r := range lines {
		serves := ""
		if r.Serving {
			serves = "yes"
		}
		rows = append(rows, []string{
			r.Service, strconv.Itoa(r.Release), serves, orDash(r.Image), orDash(shortDigest(r.Digest)), here(r),
			strconv.FormatInt(r.Rollout, 10), age(now, r.Created),
		})
	}
	return table(rows)
}
