package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

func (s *session) pruneCommand() *cobra.Command {
	keep := steady.DefaultKeptImages
	var dry bool
	c := &cobra.Command{
		Use:   "prune",
		Short: "Remove images of old releases",
		Long: `Remove images of old releases. steady tags the image of each release that has served
(` + steady.ReleaseRepository + `:PROJECT.SERVICE.RELEASE), so that a rollback finds it though docker image
prune ran or its own tag moved to another image. prune takes these tags away, but for
the serving release's image, that of a release kept warm, and the last --keep other
images of each service. An image that has another tag, or that a container uses, stays.
It needs no confirmation: what serves is never touched. docker image prune --all removes
these images too, as no container uses them.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if keep < 0 {
				return usage(c.CommandPath(), "--keep must not be below 0")
			}
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			got, err := s.backend().Prune(c.Context(), project, keep, dry)
			if err != nil {
				return err
			}
			if s.json() {
				s.print(object(got))
				return nil
			}
			_, err = fmt.Fprint(s.out, pruneText(project, got, dry))
			return err
		},
	}
	c.Flags().IntVar(&keep, "keep", keep, "`number` of images of each service to keep besides the serving release's")
	c.Flags().BoolVar(&dry, "dry-run", false, "only tell which releases' images would not be kept")
	return c
}

// pruneText tells which releases' images are kept no more, one a line.
func pruneText(project string, all []steady.PrunedImage, dry bool) string {
	if len(all) == 0 {
		return "nothing to prune: no image of an old release is beyond the number to keep\n"
	}
	removed := 0
	rows := [][]string{}
	for _, p := range all {
		of := p.Tag
		if p.Service != "" {
			of = fmt.Sprintf("%s/%s  release %d", project, p.Service, p.Release)
		}
		what := "stays: something else uses it"
		switch {
		case dry:
			what = "would not be kept"
		case p.Removed:
			what, removed = "removed", removed+1
		}
		rows = append(rows, []string{of, shortDigest(p.Image), what})
	}
	text := table(rows)
	if dry {
		return text + count(int64(len(all)), "release") + " would be let go; nothing was changed\n"
	}
	return text + fmt.Sprintf("%s let go, %s removed\n", count(int64(len(all)), "release"), count(int64(removed), "image"))
}
