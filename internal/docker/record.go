package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/moby/moby/api/types/container"

	"gesalpai.ch/steady"
)

// longestLine bounds one line of a record, in bytes.
const longestLine = 4 << 10

// Record gives what a container leaves behind: the last lines of its log and what its
// healthcheck printed, oldest first, at most so many lines and bytes.
func (e *Engine) Record(ctx context.Context, name string, lines, bytes int) ([]steady.LogLine, error) {
	c, err := e.inspect(ctx, name)
	if err != nil {
		return nil, err
	}
	r := replicaOf(c)
	src := source{id: c.ID, tty: c.Config.Tty, line: steady.LogLine{Service: r.Service, Release: r.Release, Replica: r.Name}}
	var out []steady.LogLine
	err = e.read(ctx, src, reading{tail: lines}, func(l steady.LogLine) error {
		out = append(out, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if h := c.State.Health; h != nil {
		for _, check := range h.Log {
			if check != nil {
				l := src.line
				l.Time, l.Health, l.Text = check.End, true, "healthcheck: "+checkText(check)
				out = append(out, l)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b steady.LogLine) int { return a.Time.Compare(b.Time) })
	return newest(out, lines, bytes), nil
}

// checkText says how one run of a healthcheck ended, with the last line of what it
// printed: "curl: not found (exit code 127)".
func checkText(r *container.HealthcheckResult) string {
	all := strings.Split(strings.TrimSpace(r.Output), "\n")
	last := strings.TrimSpace(all[len(all)-1])
	switch {
	case r.ExitCode < 0 && last != "": // the Engine could not run it, or ended it
		return last
	case last == "":
		return fmt.Sprintf("exit code %d", r.ExitCode)
	}
	return fmt.Sprintf("%s (exit code %d)", last, r.ExitCode)
}

// newest keeps the newest lines, at most so many and of so many bytes.
func newest(all []steady.LogLine, lines, bytes int) []steady.LogLine {
	first := len(all)
	for first > 0 && len(all)-first < lines {
		l := &all[first-1]
		if len(l.Text) > longestLine {
			cut := longestLine
			for !utf8.RuneStart(l.Text[cut]) {
				cut--
			}
			l.Text = l.Text[:cut] + "…"
		}
		if bytes -= len(l.Text); bytes < 0 {
			break
		}
		first--
	}
	return all[first:]
}
