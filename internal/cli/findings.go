package cli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gesalpai.ch/steady"
)

// discovered is the end of a command that did its work and found something. All
// of it has been told.
type discovered struct{ worst steady.Severity }

func (d *discovered) Error() string {
	return fmt.Sprintf("findings, the worst is of severity %s", d.worst)
}

// found is nil when no finding is as severe as the threshold.
func found(findings []steady.Finding, threshold string) error {
	worst := steady.Worst(findings)
	if len(findings) == 0 || threshold == never || !worst.AtLeast(steady.Severity(threshold)) {
		return nil
	}
	return &discovered{worst}
}

// showFindings prints each with its place; why it matters is said once per rule.
func (s *session) showFindings(findings []steady.Finding) {
	y := s.outStyle()
	told := map[string]string{}
	for _, f := range findings {
		head := coloured(y, f.Severity) + " " + printable(f.Text) + " " + y.dim("["+f.Rule+"]")
		if f.Place.File != "" {
			head = y.bold(fmt.Sprintf("%s:%d:%d:", s.relative([]string{f.Place.File})[0], f.Place.Line, f.Place.Column)) + " " + head
		}
		s.print(head)
		if len(f.Also) > 0 {
			s.print("  also  " + s.places(f.Also))
		}
		for _, l := range f.Lines {
			s.print("  " + y.dim("| "+printable(l)))
		}
		mend, again := told[f.Rule]
		if !again {
			s.print("  why   " + f.Why)
		}
		if mend != f.Mend {
			s.print("  mend  " + f.Mend)
		}
		told[f.Rule] = f.Mend
	}
}

// maxPlaces bounds how many further places are listed.
const maxPlaces = 6

// places lists where else something stands: "compose.yaml:12:5, compose.yaml:30:5".
func (s *session) places(all []steady.Place) string {
	var out []string
	for _, p := range all[:min(len(all), maxPlaces)] {
		out = append(out, fmt.Sprintf("%s:%d:%d", s.relative([]string{p.File})[0], p.Line, p.Column))
	}
	if more := len(all) - maxPlaces; more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return strings.Join(out, ", ")
}

func coloured(y style, v steady.Severity) string {
	word := string(v) + ":"
	switch v {
	case steady.Failure:
		return y.red(word)
	case steady.Warning:
		return y.yellow(word)
	}
	return y.dim(word)
}

// counted is "1 error, 2 warnings, 3 info", or "nothing found".
func counted(findings []steady.Finding) string {
	n := map[steady.Severity]int{}
	for _, f := range findings {
		n[f.Severity]++
	}
	var parts []string
	for _, v := range []struct {
		severity  steady.Severity
		one, many string
	}{{steady.Failure, "error", "errors"}, {steady.Warning, "warning", "warnings"}, {steady.Notice, "info", "info"}} {
		switch n[v.severity] {
		case 0:
		case 1:
			parts = append(parts, "1 "+v.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n[v.severity], v.many))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing found")
}

// relative shortens paths below the working directory.
func (s *session) relative(paths []string) []string {
	wd, err := os.Getwd()
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = p
		if rel, relErr := filepath.Rel(wd, p); err == nil && relErr == nil && filepath.IsLocal(rel) {
			out[i] = rel
		}
	}
	return out
}
