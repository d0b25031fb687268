package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gesalpai.ch/steady/internal/drill"
)

// String is the report as an aligned table, with the first losses below it.
func (r Report) String() string {
	if r.Err != nil {
		return "nothing was fired: " + r.Err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %.0f/s for %s  run %s\n\n", r.URL, r.Rate, r.Elapsed.Round(time.Millisecond), r.Run)
	r.requests(&b)
	r.streams(&b)
	r.losses(&b)
	fmt.Fprintf(&b, "\n%d sent, %d lost, %d streams cut, %d wrong-release, %d unsent\n",
		r.Sent(), r.Lost(), r.Cut(), len(r.Judge(r.Ascending()...)), r.Unsent())
	if n := r.sum(func(s Summary) int { return s.Strays }); n > 0 {
		fmt.Fprintf(&b, "%d idle connections got bytes that nobody asked for\n", n)
	}
	return b.String()
}

func table(b *strings.Builder) *tabwriter.Writer {
	return tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func (r Report) requests(b *strings.Builder) {
	w := table(b)
	defer w.Flush()
	fmt.Fprint(w, "load\tsent\tok\t")
	for _, name := range drill.PhaseNames() {
		fmt.Fprintf(w, "%s\t", name)
	}
	fmt.Fprint(w, "unsent\tconns\tdropped\tp50\tp90\tp99\tp99.9\tlongest\tstatuses\t\n")
	for _, s := range r.Loads {
		fmt.Fprintf(w, "%s\t%d\t%d\t", s.Load, s.Sent, s.OK)
		for p := range phases {
			fmt.Fprintf(w, "%d\t", s.Lost[p])
		}
		l := s.Latency
		fmt.Fprintf(w, "%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", s.Unsent, s.Connections, s.Dropped,
			short(l.P50), short(l.P90), short(l.P99), short(l.P999), short(l.Longest), statuses(s.Statuses))
	}
}

func (r Report) streams(b *strings.Builder) {
	if !slices.ContainsFunc(r.Loads, func(s Summary) bool { return s.Streams != nil }) {
		return
	}
	b.WriteByte('\n')
	w := table(b)
	defer w.Flush()
	fmt.Fprint(w, "streams\tmessages\tclosed by server\tleft by rig\tcut\tgarbled\tlongest silence\t\n")
	for _, s := range r.Loads {
		if x := s.Streams; x != nil {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t\n", s.Load, x.Messages, x.Closed, x.Left, x.Cut, x.Garbled, short(x.Silence))
		}
	}
}

func (r Report) losses(b *strings.Builder) {
	if len(r.Losses) == 0 {
		return
	}
	fmt.Fprintf(b, "\nfirst %d of %d losses\n", len(r.Losses), len(r.lost))
	for _, l := range r.Losses {
		fmt.Fprintf(b, "  +%-9s %-10s %s  %s\n", l.At.Round(time.Millisecond), l.Phase, l.ID, l.Err)
	}
}

func statuses(counts map[int]int) string {
	parts := make([]string, 0, len(counts))
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d×%d", code, counts[code]))
	}
	return strings.Join(parts, " ")
}

// short rounds to three figures or so.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
