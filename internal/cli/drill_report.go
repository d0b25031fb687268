package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/drill"
)

// tellDrill prints what came of a drill.
func (s *session) tellDrill(d drilled) {
	if s.json() {
		s.print(object(d))
		return
	}
	fmt.Fprint(s.out, drillTable(d.Report))
	for _, l := range drillNotes(d) {
		s.print(l)
	}
}

func drillTable(r drill.Report) string {
	rows := [][]string{{"", "FOR", "SENT", "ANSWERED", "LOST", "P50", "P99", "LONGEST", "PAUSE", "STATUS", "LOST AT"}}
	for _, part := range []struct {
		name string
		span drill.Span
	}{{"before", r.Before}, {"during", r.During}, {"after", r.After}, {"all", r.All}} {
		p := part.span
		rows = append(rows, []string{
			part.name, span(p.For), number(int64(p.Sent)), number(int64(p.Answered)), number(int64(p.Lost)),
			span(p.P50), span(p.P99), span(p.Longest), span(p.Pause), kinds(p.Classes), orDash(kinds(p.Phases)),
		})
	}
	return table(rows)
}

// kinds is "2xx 310, 4xx 2".
func kinds(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, name+" "+number(int64(counts[name])))
	}
	return strings.Join(parts, ", ")
}

// drillNotes are the lines below the table.
func drillNotes(d drilled) []string {
	var out []string
	for _, l := range d.Report.Losses[:min(5, len(d.Report.Losses))] {
		out = append(out, fmt.Sprintf("lost at +%s  %s  %s", span(l.At), l.ID, l))
	}
	out = append(out, "proxy, meanwhile, of all clients: "+proxyText(d.Proxy))
	if len(d.Receipts) > 1 {
		var requests, lost int64
		for _, r := range d.Receipts {
			requests, lost = requests+r.Requests(), lost+r.Lost()
		}
		out = append(out, fmt.Sprintf("receipts of %s: %s, %s lost", count(int64(len(d.Receipts)), "rollout"), count(requests, "request"), number(lost)))
	}
	if only404(d.Report.All) {
		out = append(out, "all answers were 4xx: --path chooses what the load asks for")
	}
	return append(out, d.Verdict)
}

func only404(s drill.Span) bool { return s.Answered > 0 && s.Classes["4xx"] == s.Answered }

func proxyText(c steady.Counts) string {
	text := fmt.Sprintf("%s, %s answered, %s lost", count(c.Requests, "request"), number(c.Answered), number(c.Lost))
	if c.Errors > 0 {
		text += fmt.Sprintf(", %s of status 500 and above", number(c.Errors))
	}
	if c.Held > 0 {
		text += fmt.Sprintf(", %s held", number(c.Held))
	}
	if c.Retried > 0 {
		text += fmt.Sprintf(", %s retried", number(c.Retried))
	}
	return text
}
