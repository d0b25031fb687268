package doctor

import (
	"fmt"
	"path"
	"strings"

	"gesalpai.ch/steady"
)

func fileRules() []Rule {
	return []Rule{
		{
			ID: "files-broken", Severity: steady.Failure,
			Title: "a Compose file that does not load",
			Why:   "Nothing of it can be deployed.",
			Mend:  "mend the file, then: steady plan",
			find: func(f Facts) []hit {
				if f.FilesError == nil {
					return nil
				}
				return []hit{{text: f.FilesError.Text, mend: f.FilesError.Hint}}
			},
		},
		{
			ID: "unset-variable", Severity: steady.Warning,
			Title: "a variable that the Compose files name and nobody sets",
			Why:   "Compose puts an empty text in its place, with which many a service starts and then fails.",
			Mend:  "set it in .env beside the file, or in the environment of steady deploy",
			find: func(f Facts) []hit {
				if f.Survey == nil {
					return nil
				}
				var out []hit
				for _, r := range f.Survey.Unset {
					service := serviceOf(r.Path)
					if service != "" && !f.about(f.Survey.Project, service) {
						continue
					}
					out = append(out, hit{service: service, path: r.Path, text: "variable " + r.Text + " is not set"})
				}
				return out
			},
		},
		{
			ID: "env-file-missing", Severity: steady.Failure,
			Title: "an env_file that is not there",
			Why:   "Neither docker compose nor steady deploys without it.",
			Mend:  "create it; the project's documentation or a template beside it says what belongs there",
			find: func(f Facts) []hit {
				if f.Survey == nil {
					return nil
				}
				var out []hit
				for _, r := range f.Survey.Missing {
					if service := serviceOf(r.Path); f.about(f.Survey.Project, service) {
						out = append(out, hit{service: service, path: r.Path, text: fmt.Sprintf("env file %s of %s is not there", path.Base(r.Text), service)})
					}
				}
				return out
			},
		},
	}
}

func serviceOf(at string) string {
	rest, within := strings.CutPrefix(at, "services.")
	if !within {
		return ""
	}
	name, _, _ := strings.Cut(rest, ".")
	return name
}
