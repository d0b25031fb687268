package check

import (
	"fmt"
	"path"
	"strings"

	"gesalpai.ch/steady"
)

// fileRules are about what a deploy of these very files would meet.
func fileRules() []Rule {
	return []Rule{
		{
			ID: "unsupported", Severity: steady.Failure,
			Title: "something that steady deploy refuses",
			Why:   "steady deploy refuses the files as they are, before anything is touched: to leave it out would start a service without what it needs.",
			Mend:  "see the finding",
			all:   func(in Input) []hit { return remarks(in.Refused) },
		},
		{
			ID: "left-out", Severity: steady.Notice, many: "keys are not used",
			Title: "a key that steady does not use",
			Why:   "The service is deployed without it, and a warning says so each time.",
			Mend:  "take it out, or keep it for other tools",
			all:   func(in Input) []hit { return remarks(in.LeftOut) },
		},
		{
			ID: "unset-variable", Severity: steady.Warning, many: "variables are set nowhere",
			Title: "a variable that the files name and nobody sets",
			Why:   "Compose puts an empty text in its place, with which many a service starts and then fails.",
			Mend:  "set it in .env beside the file, or give a fallback: ${NAME:-value}",
			all:   func(in Input) []hit { return unset(in, "") },
		},
		{
			ID: "required-variable", Severity: steady.Failure, many: "variables must be set",
			Title: "a variable that must be set and is not",
			Why:   "The file insists on it (${NAME:?…}): neither docker compose nor steady deploys without it.",
			Mend:  "set it in .env beside the file, or in the environment",
			all:   func(in Input) []hit { return unset(in, "required") },
		},
		{
			ID: "env-file-missing", Severity: steady.Failure, many: "env files are not there",
			Title: "an env_file that is not there",
			Why:   "Neither docker compose nor steady deploys without it.",
			Mend:  "create it, or mark it `required: false`",
			all: func(in Input) []hit {
				var out []hit
				for _, r := range in.Missing {
					out = append(out, hit{service: serviceOf(r.Path), path: r.Path, text: fmt.Sprintf("env file %s of %s is not there", path.Base(r.Text), serviceOf(r.Path)), name: path.Base(r.Text)})
				}
				return out
			},
		},
		{
			ID: "version-key", Severity: steady.Notice,
			Title: "a version key",
			Why:   "Compose ignores it and warns of it each time.",
			Mend:  "delete the line",
			all: func(in Input) []hit {
				return one(in.Obsolete, "version", "the key version is obsolete")
			},
		},
		{
			ID: "update-config-ignored", Severity: steady.Notice, many: "services have an update_config, which docker compose up ignores",
			Title: "deploy.update_config",
			Why:   "Plain docker compose up ignores it without a word: it stops the old container first, whatever order says. steady does what it says.",
			Mend:  "nothing, as long as the service is deployed with steady deploy",
			each: func(_ Input, d steady.Declared) []hit {
				return one(d.UpdateConfig, d.Path("deploy", "update_config"), "update_config is obeyed by steady and ignored by docker compose up")
			},
		},
	}
}

func remarks(rs []steady.Remark) []hit {
	var out []hit
	for _, r := range rs {
		text := r.Text
		if i := strings.Index(text, r.Path); i >= 0 && r.Path != "" { // the place is told apart
			text = strings.TrimLeft(text[i+len(r.Path):], ": ")
		}
		out = append(out, hit{
			service: serviceOf(r.Path), path: r.Path, mend: r.Hint,
			text: strings.TrimSpace(strings.TrimPrefix(r.Path, "services.") + " " + text),
		})
	}
	return out
}

// unset tells of variables that nobody sets: those of one kind, by their hint.
func unset(in Input, kind string) []hit {
	var out []hit
	for _, r := range in.Unset {
		if r.Hint != kind {
			continue
		}
		text := fmt.Sprintf("variable %s is not set", r.Text)
		if r.Hint != "" {
			text += ", and the files do not load without it"
		}
		out = append(out, hit{service: serviceOf(r.Path), path: r.Path, text: text, name: r.Text})
	}
	return out
}

// serviceOf is the service that a path is within. Names with a dot are cut short,
// which Compose's own messages do too.
func serviceOf(at string) string {
	rest, within := strings.CutPrefix(at, "services.")
	if !within {
		return ""
	}
	name, _, _ := strings.Cut(rest, ".")
	return name
}
