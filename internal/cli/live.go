package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gesalpai.ch/steady"
)

// liveView prints facts as they become final and, below them, a block of the
// steps that run now, which it draws anew.
type liveView struct {
	out    io.Writer
	width  func() int
	teller *teller

	began   time.Time
	running []runningStep
	stage   *steady.Stage // under way; nil: none
	drawn   int           // lines of the block on the screen
}

type runningStep struct {
	steady.Event
	said string // its last line of progress
}

func (v *liveView) event(e steady.Event) {
	if v.began.IsZero() {
		v.began = e.Time
	}
	switch e.Kind {
	case steady.EventStage:
		v.stage = e.Stage
	case steady.EventBegun:
		if e.Step == steady.StepShift {
			v.stage = nil
		}
		v.running = append(v.running, runningStep{Event: e})
	case steady.EventStep:
		v.running = slices.DeleteFunc(v.running, func(r runningStep) bool { return r.StepID == e.StepID })
	case steady.EventProgress:
		for i := range v.running {
			if v.running[i].StepID == e.StepID {
				v.running[i].said = e.Text
			}
		}
	case steady.EventUndo, steady.EventDone, steady.EventFailed:
		v.running, v.stage = nil, nil
	}
	lines := v.teller.tell(e)
	if len(lines) == 0 {
		return // the next tick draws it
	}
	v.clear()
	for _, line := range lines {
		fmt.Fprintln(v.out, line)
	}
}

func (v *liveView) tick(now time.Time) {
	var b strings.Builder
	v.erase(&b)
	lines := v.block(now)
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	v.drawn = len(lines)
	_, _ = io.WriteString(v.out, b.String()) // a terminal that is gone misses nothing
}

func (v *liveView) close() { v.clear() }

func (v *liveView) clear() {
	var b strings.Builder
	v.erase(&b)
	_, _ = io.WriteString(v.out, b.String())
}

// erase takes the block off the screen.
func (v *liveView) erase(b *strings.Builder) {
	if v.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r\x1b[J", v.drawn)
	}
	v.drawn = 0
}

// block is a line per running step, none wider than the terminal: a line that
// wraps could not be erased.
func (v *liveView) block(now time.Time) []string {
	if v.began.IsZero() {
		return nil
	}
	limit := max(v.width()-1, 20)
	var out []string
	for _, r := range v.running {
		subject := short(v.teller.project, r.Replica)
		if subject == "" {
			subject = r.Service
		}
		text := strings.TrimRight(fmt.Sprintf("  %-7s %-6s %s  %s", r.Step, span(now.Sub(r.Time).Truncate(redrawEvery)), subject, r.said), " ")
		out = append(out, v.teller.style.dim(clip(text, limit)))
	}
	if v.stage != nil {
		out = append(out, v.teller.style.dim(clip("  canary  "+stageText(*v.stage, now), limit)))
	}
	return append(out, v.teller.style.dim(clip("  "+span(now.Sub(v.began).Truncate(redrawEvery)), limit)))
}

// clip cuts a line that is too wide.
func clip(text string, limit int) string {
	text = printable(text)
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}

// printable drops control characters: what a build or a container prints must
// not move the cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return -1
		}
		return r
	}, text)
}
