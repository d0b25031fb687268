package report

import (
	"strconv"

	"gesalp.example/stack/internal/synth"
)

const (
	chartWidth = 800.0
	plotHeight = 140.0
	maxBars    = 20
)

// chart is a bar chart of two bars per value, laid out for the template.
type chart struct {
	Width, Height float64
	Bars          []bar
	Labels        []label
}

type bar struct{ X, MadeX, W, RealY, RealH, MadeY, MadeH float64 }

type label struct {
	X, Y float64
	Text string
}

// draw lays out shares, not counts: the tables may differ in size.
func draw(c synth.Column, made []int) *chart {
	real, names := realCounts(c)
	if len(real) == 0 {
		return nil
	}
	real, made, names = cut(real), cut(made), cut(names)
	realShare, madeShare := shares(real), shares(made)
	top := 0.0
	for i := range realShare {
		top = max(top, realShare[i], madeShare[i])
	}
	ch := &chart{Width: chartWidth, Height: plotHeight + 18}
	slot := chartWidth / float64(len(real))
	for i := range real {
		x, w := float64(i)*slot, slot*0.4
		realH, madeH := height(realShare[i], top), height(madeShare[i], top)
		ch.Bars = append(ch.Bars, bar{
			X: x, MadeX: x + w, W: w,
			RealY: plotHeight - realH, RealH: realH, MadeY: plotHeight - madeH, MadeH: madeH,
		})
	}
	for i, name := range names {
		x := float64(i) * chartWidth / float64(len(names))
		ch.Labels = append(ch.Labels, label{X: x, Y: plotHeight + 13, Text: clip(name, int(slot/6))})
	}
	return ch
}

// realCounts gives the real table's bars and the text under them.
func realCounts(c synth.Column) (counts []int, names []string) {
	if c.Kind == synth.Number {
		for i := range c.Histogram {
			low := c.Min + float64(i)*(c.Max-c.Min)/float64(len(c.Histogram))
			names = append(names, strconv.FormatFloat(low, 'g', 4, 64))
		}
		return c.Histogram, names
	}
	for _, v := range c.Values {
		counts, names = append(counts, v.Count), append(names, v.Text)
	}
	return counts, names
}

func cut[T any](s []T) []T { return s[:min(len(s), maxBars)] }

func shares(counts []int) []float64 {
	total := 0
	for _, n := range counts {
		total += n
	}
	s := make([]float64, len(counts))
	for i, n := range counts {
		s[i] = float64(n) / float64(max(total, 1))
	}
	return s
}

func height(share, top float64) float64 {
	if top == 0 {
		return 0
	}
	return share / top * plotHeight
}

func clip(s string, most int) string {
	r := []rune(s)
	if most < 2 {
		most = 2
	}
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}
