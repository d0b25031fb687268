// Package web draws pages: whole ones, that need nothing from elsewhere and run no
// script.
package web

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

//go:embed receipt.html
var receiptPage string

//go:embed style.css
var styleSheet string

// Receipt writes the receipt of a rollout that has ended as a page with plots.
// The rollout must have a receipt.
func Receipt(w io.Writer, r steady.Rollout) error {
	page, err := template.New("receipt").Parse(receiptPage)
	if err != nil {
		return fmt.Errorf("read the receipt's page: %w", err)
	}
	var b bytes.Buffer // whole or not at all
	if err := page.Execute(&b, newReceiptView(r)); err != nil {
		return fmt.Errorf("draw the receipt: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// receiptView is what the page says.
type receiptView struct {
	Style    template.CSS
	Rollout  steady.Rollout
	Title    string
	Facts    []fact
	Verdict  string
	Bad      bool // the verdict is none to be proud of
	Missed   []string
	Failed   string
	Services []serviceView
	Course   []event
	Timeline plot
}

// fact is a word and what is to be said of it.
type fact struct{ Name, Text string }

func newReceiptView(r steady.Rollout) receiptView {
	x := *r.Receipt
	v := receiptView{Style: template.CSS(styleSheet), Rollout: r, Title: fmt.Sprintf("%s, rollout %d", r.Project, r.ID)}
	v.Facts = []fact{
		{"kind", r.Kind}, {"ended as", r.State}, {"asked for by", orDash(r.Who)},
		{"began", r.Started.UTC().Format("2006-01-02 15:04:05 MST")}, {"took", span(x.Took)},
	}
	v.Verdict, v.Bad = verdict(x)
	v.Bad = v.Bad || r.State != steady.RolloutDone && r.State != steady.RolloutUnchanged
	for _, m := range x.Missed {
		v.Missed = append(v.Missed, missed(m))
	}
	if r.Error != nil {
		v.Failed = r.Error.Text
	}
	for i, s := range x.Services {
		v.Services = append(v.Services, newServiceView(x, s, i))
	}
	v.Timeline = timeline(x)
	v.Course = course(x)
	return v
}

// verdict is what was lost of how much.
func verdict(x steady.Receipt) (text string, bad bool) {
	l := x.Losses()
	text = count(l.Requests, "request") + ", "
	switch {
	case l.Sum() == 0 && len(x.Missed) > 0:
		text += "none lost of what was counted"
	case l.Sum() == 0:
		text += "0 lost"
	default:
		text += number(l.Lost) + " lost"
		if l.Cut > 0 {
			text += " (" + number(l.Cut) + " cut by the drain’s clock)"
		}
	}
	if l.StreamsCut > 0 {
		text += ", " + count(l.StreamsCut, "stream") + " cut"
	}
	if l.StreamsQuiet > 0 {
		text += ", " + count(l.StreamsQuiet, "stream") + " ended quietly"
	}
	if l.StreamsClosed > 0 {
		text += ", " + count(l.StreamsClosed, "stream") + " closed in order by the drain’s clock"
	}
	return text, l.Sum() > 0 || len(x.Missed) > 0
}

func missed(m steady.Missed) string {
	text := fmt.Sprintf("Nothing was counted from %s to %s UTC: the proxy ended, or did not answer.", clock(m.From), clock(m.To))
	if m.Open != (steady.Open{}) {
		text += fmt.Sprintf(" %s and %s were in flight then.", count(int64(m.Open.Requests), "request"), count(int64(m.Open.Streams), "stream"))
	}
	return text
}

// serviceView is one service's part of the page.
type serviceView struct {
	steady.ServiceReceipt
	Project  string
	Facts    []fact
	Figures  []releaseFigures
	Held     bool
	Plots    bool // there were requests
	Spans    []stretch
	Requests plot
	Errors   *plot // nil: there were none
	Latency  plot
	Spread   plot
}

// releaseFigures is a row of the table of releases.
type releaseFigures struct {
	Name  string
	Class string // of its colour
	Cells []string
	Bad   bool
}

func newServiceView(x steady.Receipt, s steady.ServiceReceipt, i int) serviceView {
	all := s.All()
	v := serviceView{ServiceReceipt: s, Project: x.Project, Held: all.Held > 0, Plots: all.Requests > 0, Facts: serviceFacts(s)}
	for _, n := range slices.Sorted(maps.Keys(s.Releases)) {
		v.Figures = append(v.Figures, newFigures(s, n, v.Held))
	}
	v.Spans = stretches(x, s)
	id := fmt.Sprintf("s%d", i)
	v.Requests = requests(x, s, id+"r")
	v.Errors = failures(x, s, id+"e")
	v.Latency = latency(x, s, id+"l")
	v.Spread = spread(x, s, id+"h")
	return v
}

func newFigures(s steady.ServiceReceipt, n int, held bool) releaseFigures {
	c, a := s.Releases[n], s.Answers[n]
	f := releaseFigures{Name: releaseName(s, n), Class: colour(s, n), Bad: c.Lost+c.StreamsCut > 0}
	for _, v := range []int64{c.Requests, a.Classes[1], a.Classes[2], a.Classes[3], a.Classes[4], a.Classes[5], c.Lost, c.Cut, c.Left, c.Retried,
		c.Streams, c.StreamsEnded, c.StreamsClosed, c.StreamsQuiet, c.StreamsCut} {
		f.Cells = append(f.Cells, number(v))
	}
	if held {
		f.Cells = append(f.Cells, number(c.Held), number(c.Turned))
	}
	return f
}

func releaseName(s steady.ServiceReceipt, n int) string {
	switch n {
	case 0:
		return "no replica"
	case s.From:
		return fmt.Sprintf("%d, old", n)
	case s.To:
		return fmt.Sprintf("%d, new", n)
	}
	return fmt.Sprint(n)
}

// colour is the class of what is drawn of a release.
func colour(s steady.ServiceReceipt, n int) string {
	switch {
	case n == 0:
		return "nobody"
	case n == s.To && n != s.From:
		return "new"
	case n == s.From:
		return "old"
	}
	return "other"
}

func serviceFacts(s steady.ServiceReceipt) []fact {
	facts := []fact{{"strategy", orDash(s.Strategy)}}
	if s.Ready > 0 {
		facts = append(facts, fact{"until ready", span(s.Ready)})
	}
	if s.Gap > 0 {
		facts = append(facts, fact{"without a replica", span(s.Gap)})
	}
	facts = append(facts, fact{"drained", drained(s.Drained)})
	if all := s.All(); all.Held > 0 {
		a := s.Answered()
		facts = append(facts, fact{"held", fmt.Sprintf("%s waited, half of them up to %s, the longest %s", number(all.Held), span(a.Waits.Quantile(0.5)), span(a.LongestWait))})
	}
	return facts
}

func drained(d steady.Drained) string {
	if d.Requests+d.Streams+d.Flows == 0 {
		return "nothing was in flight"
	}
	var parts []string
	if d.Requests > 0 {
		text := fmt.Sprintf("%s in flight, the longest for %s", count(int64(d.Requests), "request"), span(d.Longest))
		if d.Cut > 0 {
			text += ", " + number(int64(d.Cut)) + " cut"
		}
		parts = append(parts, text)
	}
	if d.Streams > 0 {
		parts = append(parts, fmt.Sprintf("%s: %d ended, %d closed, %d quiet, %d cut", count(int64(d.Streams), "stream"), d.StreamsEnded, d.StreamsClosed, d.StreamsQuiet, d.StreamsCut))
	}
	if d.Flows > 0 {
		parts = append(parts, fmt.Sprintf("%s: %d ended, %d moved", count(int64(d.Flows), "UDP flow"), d.Flows-d.FlowsMoved, d.FlowsMoved))
	}
	return strings.Join(parts, "; ")
}

// stretch is a row of the table of latencies.
type stretch struct {
	Name, Class string
	Cells       []string
}

func stretches(x steady.Receipt, s steady.ServiceReceipt) []stretch {
	var out []stretch
	for _, part := range parts(x, s) {
		if part.Requests == 0 {
			continue
		}
		took := part.Took
		out = append(out, stretch{part.name, part.class, []string{
			span(part.For), fmt.Sprintf("%.1f", float64(part.Requests)/max(part.For.Seconds(), 1e-3)), number(part.Errors),
			span(took.Quantile(0.5)), span(took.Quantile(0.9)), span(took.Quantile(0.99)), span(took.Longest()),
		}})
	}
	return out
}

// part is before, during or after.
type part struct {
	name, class string
	steady.Stretch
}

func parts(x steady.Receipt, s steady.ServiceReceipt) []part {
	all := steady.Measure{Counts: s.All(), Answers: s.Answered()}
	return []part{{"before", "old", s.Before}, {"during", "other", all.Over(x.Ended.Sub(x.Began))}, {"after", "new", s.After}}
}

// event is a line of the course of events.
type event struct {
	At            time.Time
	Since         string
	Service, What string
	Took          string
}

func course(x steady.Receipt) []event {
	var out []event
	for _, shift := range x.Shifts {
		for _, s := range shift.Services {
			out = append(out, event{At: shift.At, Service: s.Service, What: shifted(s)})
		}
	}
	for _, p := range x.Phases {
		if p.Kind == steady.StepShift {
			continue
		}
		out = append(out, event{At: p.Began, Service: orDash(p.Service), What: phaseName(p), Took: span(p.Ended.Sub(p.Began))})
	}
	slices.SortStableFunc(out, func(a, b event) int { return a.At.Compare(b.At) })
	for i := range out {
		out[i].Since = fmt.Sprintf("%.2f s", out[i].At.Sub(x.Began).Seconds())
	}
	return out
}

func phaseName(p steady.PhaseTaken) string {
	if p.Undo {
		return "undo: " + p.Kind
	}
	return p.Kind
}

func shifted(s steady.ServiceShift) string {
	text := fmt.Sprintf("shift to release %d", s.Release)
	switch {
	case s.Held:
		text = "held: what comes waits"
	case s.Replicas == 0:
		text = "shift to nobody"
	case s.Trial > 0:
		text = fmt.Sprintf("shift of %s to release %d, the rest to %d", steady.PercentText(s.Percent), s.Trial, s.Release)
	}
	if s.Left != (steady.Open{}) {
		text += fmt.Sprintf("; %s and %s were in flight at the old one", count(int64(s.Left.Requests), "request"), count(int64(s.Left.Streams), "stream"))
	}
	return text
}
