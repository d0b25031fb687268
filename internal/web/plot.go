package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A plot's measures, in units of its view box.
const (
	plotWidth  = 760.0
	plotLeft   = 56.0 // where the axes are
	plotRight  = 744.0
	plotTop    = 26.0
	plotHeight = 200.0
	plotBottom = plotHeight - 30
)

// plot is a picture with axes, drawn by the template "plot".
type plot struct {
	ID          string // of its title and description in the page
	Title, Desc string
	Height      float64
	XTicks      []tick
	YTicks      []tick
	Areas       []shape
	Lines       []shape
	Bars        []bar
	Marks       []mark
	Legend      []entry
	Empty       string // why there is nothing to draw
	Left, Right float64
	Top, Bottom float64
}

type tick struct {
	At    float64
	Label string
}

type shape struct{ Class, Path string }

type bar struct {
	Class         string
	X, Y, W, H    float64
	Label, Inside string
}

type mark struct {
	At    float64
	Label string
	Flip  bool // its label stands before it
}

type entry struct {
	At          float64
	Class, Text string
}

func newPlot(id, title string) plot {
	return plot{ID: id, Title: title, Height: plotHeight, Left: plotLeft, Right: plotRight, Top: plotTop, Bottom: plotBottom}
}

// scale maps values to places.
type scale struct {
	from, to  float64 // values
	low, high float64 // places
	log       bool
}

func (s scale) at(v float64) float64 {
	lo, hi := s.from, s.to
	if s.log {
		v, lo, hi = math.Log10(math.Max(v, s.from)), math.Log10(s.from), math.Log10(s.to)
	}
	if hi <= lo {
		return s.low
	}
	return math.Round((s.low+(v-lo)/(hi-lo)*(s.high-s.low))*10) / 10
}

// across is the scale of time, from a rollout's beginning to its end.
func across(took time.Duration) scale {
	return scale{from: 0, to: max(took.Seconds(), 0.1), low: plotLeft, high: plotRight}
}

// up is the scale of what is counted, from 0 to at least most.
func up(most float64) scale {
	step := nice(most / 4)
	return scale{from: 0, to: math.Max(math.Ceil(most/step)*step, step), low: plotBottom, high: plotTop}
}

// nice is 1, 2 or 5 times a power of ten, and not less than v.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5, 10} {
		if f*power >= v*(1-1e-9) {
			return f * power
		}
	}
	return 10 * power
}

// ticks are some five round values of a scale.
func (s scale) ticks(label func(float64) string) []tick {
	var out []tick
	if s.log {
		for v := math.Pow(10, math.Ceil(math.Log10(s.from)-1e-9)); v <= s.to*(1+1e-9); v *= 10 {
			out = append(out, tick{s.at(v), label(v)})
		}
		return out
	}
	step := nice((s.to - s.from) / s.wants())
	for i := 0; float64(i)*step <= s.to*(1+1e-9); i++ {
		out = append(out, tick{s.at(float64(i) * step), label(float64(i) * step)})
	}
	return out
}

// wants is how many ticks fit: fewer, one upon the other, than side by side.
func (s scale) wants() float64 {
	if s.low > s.high {
		return 5
	}
	return 10
}

// plain is a number without more digits than it needs.
func plain(v float64) string { return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64) }

func seconds(v float64) string {
	if v >= 180 && math.Mod(v, 60) == 0 {
		return plain(v/60) + " min"
	}
	return plain(v) + " s"
}

// millis names milliseconds.
func millis(v float64) string {
	if v >= 1000 {
		return plain(v/1000) + " s"
	}
	return plain(v) + " ms"
}

// path joins points; a pause in them begins a new stroke.
type path struct {
	b    strings.Builder
	open bool
}

func (p *path) to(x, y float64) {
	verb := "L"
	if !p.open {
		verb = "M"
	}
	p.open = true
	fmt.Fprintf(&p.b, "%s%s %s", verb, plain(x), plain(y))
}

func (p *path) pause() { p.open = false }

func (p *path) String() string { return p.b.String() }

// legend lays the entries out in a row above the plot.
func (p *plot) legend(of ...entry) {
	x := plotLeft
	for _, e := range of {
		e.At = x
		p.Legend = append(p.Legend, e)
		x += 34 + 6.6*float64(len([]rune(e.Text)))
	}
}
