package compose

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
)

// placed is a sentence that begins with where it is about.
var placed = regexp.MustCompile(`^(.+?):(\d+): `)

// refusedToo is why Load refuses the files, unless the survey says so already.
func refusedToo(survey steady.Survey, e *steady.Error) []steady.Remark {
	known := slices.ContainsFunc(survey.Refused, func(r steady.Remark) bool { return strings.HasSuffix(e.Text, r.Text) }) ||
		slices.ContainsFunc(survey.Missing, func(r steady.Remark) bool { return strings.Contains(e.Text, r.Text) }) ||
		slices.ContainsFunc(survey.Unset, func(r steady.Remark) bool {
			return r.Hint != "" && strings.Contains(e.Text, "required variable "+r.Text+" ")
		})
	if known {
		return nil
	}
	r := steady.Remark{Path: attribute.FindString(e.Text), Text: e.Text, Hint: e.Hint}
	m := placed.FindStringSubmatch(e.Text)
	if m == nil {
		return []steady.Remark{r}
	}
	if path := standsAt(survey, m[1], m[2]); path != "" {
		r.Path, r.Text = path, strings.TrimPrefix(e.Text, m[0])
	} else if path := envFileAt(survey, m[1]); path != "" {
		r.Path = path
	}
	return []steady.Remark{r}
}

// standsAt is the path at a line, the deepest of several.
func standsAt(survey steady.Survey, file, line string) string {
	n, err := strconv.Atoi(line)
	best := ""
	for path, at := range survey.Places {
		if err == nil && at.File == file && at.Line == n && (len(path) > len(best) || len(path) == len(best) && path < best) {
			best = path
		}
	}
	return best
}

// envFileAt is where an env file is named.
func envFileAt(survey steady.Survey, file string) string {
	for _, d := range survey.Services {
		if slices.Contains(d.EnvFiles, file) {
			return "services." + d.Service + ".env_file"
		}
	}
	return ""
}
