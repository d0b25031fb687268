package web

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// lines are the series' lines of one service.
func lines(x steady.Receipt, service string) []steady.Line {
	if x.Series == nil {
		return nil
	}
	var out []steady.Line
	for _, l := range x.Series.Lines {
		if l.Service == service {
			out = append(out, l)
		}
	}
	return out
}

// stretchesOf calls do with the begin and end of each stretch of the series, in
// seconds since the rollout began.
func stretchesOf(x steady.Receipt, do func(i int, from, to float64)) {
	offset := x.Series.From.Sub(x.Began)
	from := offset
	for i, until := range x.Series.Until {
		to := offset + until
		do(i, from.Seconds(), to.Seconds())
		from = to
	}
}

// based is a plot over the rollout's time, with its shifts.
func based(x steady.Receipt, id, title, service string) (plot, scale) {
	p := newPlot(id, title)
	t := across(x.Ended.Sub(x.Began))
	p.XTicks = t.ticks(seconds)
	for _, shift := range x.Shifts {
		for _, s := range shift.Services {
			if s.Service != service {
				continue
			}
			at := t.at(shift.At.Sub(x.Began).Seconds())
			label := fmt.Sprintf("to %d", s.Release)
			switch {
			case s.Held:
				label = "held"
			case s.Replicas == 0:
				label = "to nobody"
			case s.Trial > 0:
				label = fmt.Sprintf("%s to %d", steady.PercentText(s.Percent), s.Trial)
			}
			p.Marks = append(p.Marks, mark{At: at, Label: label, Flip: at > plotRight-60})
		}
	}
	return p, t
}

const nothingCounted = "Nothing of it was counted over time."

// requests is how many a second each release took, one upon the other.
func requests(x steady.Receipt, s steady.ServiceReceipt, id string) plot {
	p, t := based(x, id, s.Service+": requests per second", s.Service)
	ls := lines(x, s.Service)
	if len(ls) == 0 {
		p.Empty = nothingCounted
		return p
	}
	n := len(x.Series.Until)
	below, most := make([]float64, n), 0.0
	rate := func(l steady.Line, i int, from, to float64) float64 {
		return float64(l.Requests[i]) / math.Max(to-from, 0.05)
	}
	stretchesOf(x, func(i int, from, to float64) {
		sum := 0.0
		for _, l := range ls {
			sum += rate(l, i, from, to)
		}
		most = math.Max(most, sum)
	})
	y := up(most)
	p.YTicks = y.ticks(plain)
	for _, l := range ls {
		var over path
		var back [][2]float64
		stretchesOf(x, func(i int, from, to float64) {
			top := below[i] + rate(l, i, from, to)
			over.to(t.at(from), y.at(top))
			over.to(t.at(to), y.at(top))
			back = append(back, [2]float64{t.at(from), y.at(below[i])}, [2]float64{t.at(to), y.at(below[i])})
			below[i] = top
		})
		edge := over.String()
		for _, at := range slices.Backward(back) {
			over.to(at[0], at[1])
		}
		p.Areas = append(p.Areas, shape{colour(s, l.Release), over.String() + "Z"})
		p.Lines = append(p.Lines, shape{colour(s, l.Release), edge})
	}
	p.named(s, ls)
	p.Desc = fmt.Sprintf("%s in %s, at most %s a second. ", count(s.All().Requests, "request"), span(x.Ended.Sub(x.Began)), number(int64(most+0.5))) + perRelease(s)
	return p
}

func perRelease(s steady.ServiceReceipt) string {
	var out []string
	for n, c := range s.Releases {
		out = append(out, fmt.Sprintf("release %s took %s", releaseName(s, n), count(c.Requests, "request")))
	}
	slices.Sort(out)
	return strings.Join(out, "; ") + "."
}

// named puts the releases into the legend.
func (p *plot) named(s steady.ServiceReceipt, ls []steady.Line) {
	var es []entry
	for _, l := range ls {
		name := "release " + releaseName(s, l.Release)
		if l.Release == 0 {
			name = releaseName(s, 0)
		}
		es = append(es, entry{Class: colour(s, l.Release), Text: name})
	}
	p.legend(es...)
}

// failures is how many errors there were in each stretch; nil for none at all.
func failures(x steady.Receipt, s steady.ServiceReceipt, id string) *plot {
	p, t := based(x, id, s.Service+": errors", s.Service)
	ls := lines(x, s.Service)
	sum, most := int64(0), 0.0
	for _, l := range ls {
		for _, n := range l.Errors {
			sum += n
		}
	}
	if sum == 0 {
		return nil
	}
	stretchesOf(x, func(i int, _, _ float64) {
		all := int64(0)
		for _, l := range ls {
			all += l.Errors[i]
		}
		most = math.Max(most, float64(all))
	})
	y := up(most)
	p.YTicks = y.ticks(plain)
	stretchesOf(x, func(i int, from, to float64) {
		below := int64(0)
		for _, l := range ls {
			if l.Errors[i] <= 0 {
				continue
			}
			low, high := y.at(float64(below)), y.at(float64(below+l.Errors[i]))
			left, right := t.at(from), t.at(to)
			p.Bars = append(p.Bars, bar{Class: colour(s, l.Release), X: left, Y: high, W: math.Max(right-left, 1.5), H: low - high,
				Label: fmt.Sprintf("%s at %.1f s, release %s", count(l.Errors[i], "error"), from, releaseName(s, l.Release))})
			below += l.Errors[i]
		}
	})
	p.named(s, slices.DeleteFunc(ls, func(l steady.Line) bool { return slices.Max(l.Errors) == 0 }))
	p.Desc = fmt.Sprintf("%s: answers with a status of 500 and above, the app's and steady's own, and those broken off.", count(sum, "error"))
	return &p
}

// latency is p50 and p99 of each release over time.
func latency(x steady.Receipt, s steady.ServiceReceipt, id string) plot {
	p, t := based(x, id, s.Service+": latency, p50 and p99", s.Service)
	ls := lines(x, s.Service)
	low, high := math.Inf(1), 0.0
	for _, l := range ls {
		for i := range l.P50 {
			if l.P50[i] > 0 {
				low, high = math.Min(low, float64(l.P50[i])/1000), math.Max(high, float64(l.P99[i])/1000)
			}
		}
	}
	if high == 0 {
		p.Empty = nothingCounted
		return p
	}
	y := decades(low, high, plotBottom, plotTop)
	p.YTicks = y.ticks(millis)
	for _, l := range ls {
		for _, of := range []struct {
			class  string
			micros []int64
		}{{" thin", l.P50}, {"", l.P99}} {
			var line path
			stretchesOf(x, func(i int, from, to float64) {
				if of.micros[i] == 0 {
					line.pause()
					return
				}
				line.to(t.at(from), y.at(float64(of.micros[i])/1000))
				line.to(t.at(to), y.at(float64(of.micros[i])/1000))
			})
			p.Lines = append(p.Lines, shape{colour(s, l.Release) + of.class, line.String()})
		}
	}
	p.named(s, ls)
	took := s.Answered().Took
	p.Desc = fmt.Sprintf("On a logarithmic scale, p99 thick and p50 thin. Over the whole rollout p50 was %s and p99 %s", span(took.Quantile(0.5)), span(took.Quantile(0.99)))
	if before := s.Before.Took; len(before) > 0 {
		p.Desc += fmt.Sprintf("; the minute before, %s and %s", span(before.Quantile(0.5)), span(before.Quantile(0.99)))
	}
	p.Desc += "."
	return p
}

// decades is a logarithmic scale that ends at powers of ten.
func decades(low, high, from, to float64) scale {
	lo := math.Pow(10, math.Floor(math.Log10(low)+1e-9))
	hi := math.Pow(10, math.Ceil(math.Log10(high)-1e-9))
	if hi <= lo {
		hi = lo * 10
	}
	return scale{from: lo, to: hi, low: from, high: to, log: true}
}

// spread is how answers were spread over latencies, before, during and after: what
// share was no slower than that.
func spread(x steady.Receipt, s steady.ServiceReceipt, id string) plot {
	p := newPlot(id, s.Service+": how many answers were no slower than")
	low, high := time.Duration(math.MaxInt64), time.Duration(0)
	all := parts(x, s)
	for _, part := range all {
		for b := range part.Took {
			low, high = min(low, b), max(high, min(b, 1000*time.Second))
		}
	}
	if high == 0 {
		p.Empty = "No answer was timed."
		return p
	}
	t := decades(low.Seconds()*1000*0.9, high.Seconds()*1000, plotLeft, plotRight)
	y := scale{from: 0, to: 100, low: plotBottom, high: plotTop}
	p.XTicks = t.ticks(millis)
	for _, v := range []float64{0, 25, 50, 75, 100} {
		p.YTicks = append(p.YTicks, tick{y.at(v), plain(v) + " %"})
	}
	var es []entry
	var says []string
	for _, part := range all {
		if part.Took.Count() == 0 {
			continue
		}
		p.Lines = append(p.Lines, shape{part.class, cumulated(part.Took, t, y)})
		es = append(es, entry{Class: part.class, Text: fmt.Sprintf("%s (%s)", part.name, count(part.Took.Count(), "answer"))})
		says = append(says, fmt.Sprintf("%s: p50 %s, p90 %s, p99 %s", part.name, span(part.Took.Quantile(0.5)), span(part.Took.Quantile(0.9)), span(part.Took.Quantile(0.99))))
	}
	p.legend(es...)
	p.Desc = strings.Join(says, "; ") + ". Latencies are on a logarithmic scale."
	return p
}

func cumulated(h steady.Histogram, t, y scale) string {
	total, sum := float64(h.Count()), int64(0)
	var line path
	line.to(t.low, y.at(0))
	for i, n := range h.Latencies() {
		if n == 0 {
			continue
		}
		b := steady.LatencyBounds()[min(i, steady.LatencyBuckets-2)]
		if sum == 0 && i > 0 {
			line.to(t.at(steady.LatencyBounds()[i-1].Seconds()*1000), y.at(0))
		}
		sum += n
		line.to(t.at(b.Seconds()*1000), y.at(100*float64(sum)/total))
	}
	line.to(t.high, y.at(100))
	return line.String()
}

const (
	shiftWidth = 36.0 // of the word, in units of the plot
	rowHeight  = 20.0
	rowTop     = 34.0
	rowLeft    = 150.0
)

// timeline is when each service went through which phase.
func timeline(x steady.Receipt) plot {
	p := newPlot("timeline", "The course of the rollout")
	t := across(x.Ended.Sub(x.Began))
	t.low = rowLeft
	p.XTicks, p.Left, p.Top = t.ticks(seconds), rowLeft, rowTop-8
	row := map[string]float64{}
	for _, ph := range x.Phases {
		if ph.Kind == steady.StepShift {
			continue
		}
		name := ph.Service
		if name == "" {
			name = x.Project
		}
		name += "  " + phaseName(ph)
		y, known := row[name]
		if !known {
			y = rowTop + rowHeight*float64(len(row))
			row[name] = y
			p.YTicks = append(p.YTicks, tick{y + rowHeight/2 + 1, name})
		}
		left, right := t.at(ph.Began.Sub(x.Began).Seconds()), t.at(ph.Ended.Sub(x.Began).Seconds())
		took := span(ph.Ended.Sub(ph.Began))
		p.Bars = append(p.Bars, bar{Class: "phase-" + phaseClass(ph), X: left, Y: y + 3, W: math.Max(right-left, 2), H: rowHeight - 6,
			Label: fmt.Sprintf("%s from %.2f s, %s", name, ph.Began.Sub(x.Began).Seconds(), took), Inside: took})
	}
	named := math.Inf(-1)
	for _, shift := range x.Shifts {
		at, label := t.at(shift.At.Sub(x.Began).Seconds()), ""
		if at-named > shiftWidth { // else its word would lie on another
			named, label = at, "shift"
		}
		p.Marks = append(p.Marks, mark{At: at, Label: label, Flip: at > plotRight-40})
	}
	p.legend(entry{Class: "prepare", Text: "what nobody notices"}, entry{Class: "new", Text: "the new replicas"}, entry{Class: "old", Text: "the old ones"})
	p.Bottom = rowTop + rowHeight*float64(len(row)) + 4
	p.Height = p.Bottom + 26
	p.Desc = fmt.Sprintf("%s and %s in %s; the table below says the same in words.", count(int64(len(row)), "phase"), count(int64(len(x.Shifts)), "shift"), span(x.Ended.Sub(x.Began)))
	if len(row) == 0 {
		p.Empty = "Nothing had to be done."
	}
	return p
}

// phaseClass groups the kinds of step by what a visitor has to do with them.
func phaseClass(p steady.PhaseTaken) string {
	switch {
	case p.Undo:
		return "undo"
	case p.Kind == steady.StepProbe || p.Kind == steady.StepStart || p.Kind == steady.StepWatch:
		return "new"
	case p.Kind == steady.StepDrain || p.Kind == steady.StepStop || p.Kind == steady.StepRemove:
		return "old"
	}
	return "prepare"
}
