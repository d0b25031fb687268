package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

// elsewhere are commands that people of docker compose, kubectl or kamal try: what
// they do here, and the command that does it. {} is what stood behind the command.
var elsewhere = map[string]struct{ text, hint string }{
	"up":      {"steady deploys, and leaves what is unchanged", "steady deploy {}"},
	"start":   {"steady starts what does not run when it deploys", "steady deploy {}"},
	"restart": {"steady replaces a service by a fresh container of the same release, without a gap", "steady deploy --force {}"},
	"stop":    {"steady shows a page in place of a service; only steady down stops containers, those of the whole project", "steady maintenance on {}"},
	"rm":      {"steady down removes whole projects, and no single service", "steady down --help"},
	"build":   {"steady builds when it deploys", "steady deploy --build {}"},
	"pull":    {"steady pulls when it deploys", "steady deploy --pull {}"},
	"ps":      {"steady lists replicas with their traffic", "steady status"},
	"top":     {"steady shows what services take", "steady stats"},
	"exec":    {"steady does not run commands in replicas; docker compose finds them", "docker compose exec {}"},
	"run":     {"steady runs one-off commands as hooks of a rollout (x-steady.hooks); docker compose runs them by hand", "docker compose run --rm --no-deps {}"},
	"config":  {"steady plan shows what a deploy would do, and docker compose the files as they are read", "docker compose config"},
	"images":  {"steady lists the images of releases", "steady releases"},
	"history": {"steady lists rollouts; releases are in steady releases, and who did what in steady audit", "steady rollouts"},
	"events":  {"steady follows a rollout", "steady watch"},
	"undo":    {"steady goes back to the release before", "steady rollback {}"},
}

// pointers are hidden commands that name the one that does it. Whatever stands behind
// them is taken as it is: their flags are another tool's.
func pointers(root *cobra.Command) {
	for name, to := range elsewhere {
		if found, _, err := root.Find([]string{name}); err == nil && found != root { // there is one
			continue
		}
		root.AddCommand(&cobra.Command{
			Use: name, Hidden: true, DisableFlagParsing: true,
			RunE: func(_ *cobra.Command, args []string) error {
				return steady.ErrUsage.With("there is no steady "+name+": "+to.text, pointed(to.hint, args))
			},
		})
	}
}

// pointed puts the arguments into a hint. Flags of deploy's would mean something
// else to it than to the tool they are of, so only names go there.
func pointed(hint string, args []string) string {
	if !strings.HasPrefix(hint, "docker ") {
		args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "-") })
	}
	return strings.TrimSpace(strings.ReplaceAll(hint, "{}", strings.Join(args, " ")))
}
