package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// clock is a time of day, to a tenth of a second.
func clock(t time.Time) string { return t.Local().Format("15:04:05.0") }

// receiptText is a receipt for a person: what was lost first, then the figures,
// then the course of events.
func receiptText(r steady.Rollout, y style) string {
	var b strings.Builder
	x := *r.Receipt
	fmt.Fprintf(&b, "%s\n", y.bold(fmt.Sprintf("%s  rollout %d  %s  %s", r.Project, r.ID, r.Kind, r.State)))
	fmt.Fprintf(&b, "  began   %s by %s, took %s\n", r.Started.Local().Format("2006-01-02 15:04:05 MST"), orDash(r.Who), span(x.Took))
	if r.Error != nil {
		fmt.Fprintf(&b, "  failed  %s\n", printable(r.Error.Text))
	}
	fmt.Fprintf(&b, "  counted %s\n", strings.TrimPrefix(tallied(x), ": "))
	for _, m := range x.Missed {
		fmt.Fprintf(&b, "  missed  %s\n", missedText(m))
	}
	if len(x.Services) == 0 {
		b.WriteString("nothing was changed\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\n%s\n%s", releaseFigures(x), latencyFigures(x))
	for _, s := range x.Services {
		b.WriteString(serviceNotes(x, s))
	}
	fmt.Fprintf(&b, "\n%s", course(x))
	return b.String()
}

// releaseFigures is a line per release; release 0 is what found no replica.
func releaseFigures(x steady.Receipt) string {
	rows := [][]string{{"SERVICE", "RELEASE", "REQUESTS", "2XX", "3XX", "4XX", "5XX", "LOST", "CUT", "LEFT", "RETRIED", "STREAMS", "ENDED", "CLOSED", "QUIET", "CUT"}}
	for _, s := range x.Services {
		for _, n := range slices.Sorted(maps.Keys(s.Releases)) {
			c, a := s.Releases[n], s.Answers[n]
			name := strconv.Itoa(n)
			if n == 0 {
				name = "none"
			}
			if n == 0 && c.Requests+c.Lost+c.Streams == 0 { // they were only held there
				continue
			}
			row := []string{s.Service, name}
			for _, v := range []int64{c.Requests, a.Classes[2], a.Classes[3], a.Classes[4], a.Classes[5], c.Lost, c.Cut, c.Left, c.Retried,
				c.Streams, c.StreamsEnded, c.StreamsClosed, c.StreamsQuiet, c.StreamsCut} {
				row = append(row, number(v))
			}
			rows = append(rows, row)
		}
		if len(s.Releases) == 0 {
			rows = append(rows, []string{s.Service, "-", "0"})
		}
	}
	return table(rows)
}

// latencyFigures is how long answers took before, during and after.
func latencyFigures(x steady.Receipt) string {
	rows := [][]string{{"SERVICE", "", "FOR", "REQUESTS/S", "ERRORS", "P50", "P90", "P99", "LONGEST"}}
	for _, s := range x.Services {
		all := steady.Measure{Counts: s.All(), Answers: s.Answered()}
		for _, part := range []struct {
			name string
			steady.Stretch
		}{{"before", s.Before}, {"during", all.Over(x.Ended.Sub(x.Began))}, {"after", s.After}} {
			if part.Requests == 0 {
				continue
			}
			took := part.Took
			rows = append(rows, []string{s.Service, part.name, span(part.For), rateText(float64(part.Requests) / max(part.For.Seconds(), 1e-3)), number(part.Errors),
				latencyText(took.Quantile(0.5)), latencyText(took.Quantile(0.9)), latencyText(took.Quantile(0.99)), latencyText(took.Longest())})
		}
	}
	if len(rows) == 1 {
		return ""
	}
	return table(rows)
}

// serviceNotes are the lines of what only some services have.
func serviceNotes(x steady.Receipt, s steady.ServiceReceipt) string {
	var lines []string
	if s.Drained.Requests+s.Drained.Streams+s.Drained.Flows > 0 {
		lines = append(lines, "drained "+drainText(s.Drained))
	}
	if all := s.All(); all.Held > 0 {
		a := s.Answered()
		text := fmt.Sprintf("held    %s waited, half of them up to %s, the longest %s", number(all.Held), latencyText(a.Waits.Quantile(0.5)), latencyText(a.LongestWait))
		if all.Turned > 0 {
			text += "; " + number(all.Turned) + " turned away"
		}
		lines = append(lines, text)
	}
	if s.Gap > 0 {
		lines = append(lines, "gap     "+span(s.Gap)+" without a replica")
	}
	for _, u := range s.Uncounted {
		lines = append(lines, "not counted: "+u)
	}
	if len(lines) == 0 {
		return ""
	}
	return "\n" + x.Project + "/" + s.Service + "\n  " + strings.Join(lines, "\n  ") + "\n"
}

// course is when each phase and each shift was.
func course(x steady.Receipt) string {
	rows := [][]string{{"WHEN", "SERVICE", "STEP", "TOOK", ""}}
	type line struct {
		at  time.Time
		row []string
	}
	var lines []line
	for _, shift := range x.Shifts {
		for _, s := range shift.Services {
			lines = append(lines, line{shift.At, []string{s.Service, "shift", "", shiftText(s)}})
		}
	}
	for _, p := range x.Phases {
		if p.Kind == steady.StepShift {
			continue
		}
		kind := p.Kind
		if p.Undo {
			kind = "undo " + kind
		}
		lines = append(lines, line{p.Began, []string{orDash(p.Service), kind, span(p.Ended.Sub(p.Began)), ""}})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	for _, l := range lines {
		rows = append(rows, append([]string{fmt.Sprintf("+%.2fs", l.at.Sub(x.Began).Seconds())}, l.row...))
	}
	return table(rows)
}

// shiftText is where a shift led, and what was in flight elsewhere just then.
func shiftText(s steady.ServiceShift) string {
	text := fmt.Sprintf("to release %d", s.Release)
	switch {
	case s.Held:
		text = "held"
	case s.Replicas == 0:
		text = "to nobody"
	case s.Trial > 0:
		text = fmt.Sprintf("%s to release %d, the rest to %d", steady.PercentText(s.Percent), s.Trial, s.Release)
	}
	if s.Left != (steady.Open{}) {
		text += fmt.Sprintf("; %s and %s in flight at the old one", count(int64(s.Left.Requests), "request"), count(int64(s.Left.Streams), "stream"))
	}
	return text
}
