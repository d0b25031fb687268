package proxy

import (
	"time"

	"gesalpai.ch/steady"
)

// How the past is kept. Rates are differences between now and a sample, so the
// path of a request knows nothing of time slots.
const (
	sampleEvery = 5 * time.Second
	minute      = time.Minute
	lately      = sampleEvery // at least: up to twice that
	// forgetAfter is how long a release that takes no traffic and sees none is
	// still told of, so that whoever asks now and then has seen its last figures.
	forgetAfter = time.Hour
)

// sample is what a counter had counted at one moment, and still had at another.
type sample struct {
	at, until time.Time
	counts    steady.Counts
	took      steady.Latencies // nil for nothing
}

// past is the last minute of a counter, in samples: one for each change. The first
// is the newest that is a minute old, or the counter's beginning.
type past struct{ samples []sample }

func newPast(now time.Time) past { return past{[]sample{{at: now, until: now}}} }

// add takes another sample.
func (p *past) add(now time.Time, c *counter) {
	last := &p.samples[len(p.samples)-1]
	counts := c.read()
	if counts == last.counts {
		last.until = now
		return
	}
	next := sample{at: now, until: now, counts: counts}
	next.took, _ = c.latencies()
	p.samples = append(p.samples, next)
	drop := 0
	for drop+1 < len(p.samples) && now.Sub(p.samples[drop+1].at) >= minute {
		drop++
	}
	n := copy(p.samples, p.samples[drop:])
	clear(p.samples[n:])
	p.samples = p.samples[:n]
}

// since is what was counted in the last d up to f, give or take the time between
// two samples; of a counter younger than that, since it began.
func (p *past) since(d time.Duration, now time.Time, f steady.Flow) steady.Span {
	from := p.samples[0]
	for _, s := range p.samples[1:] {
		if now.Sub(s.at) < d {
			break
		}
		from = s
	}
	begin, ago := from.until, now.Add(-d)
	switch {
	case from.at.After(ago): // younger than that
		begin = from.at
	case begin.After(ago): // nothing had happened until then
		begin = ago
	}
	return steady.Span{For: now.Sub(begin), Counts: f.Counts.Minus(from.counts), Took: minus(f.Took, from.took)}
}

func minus(l, o steady.Latencies) steady.Latencies {
	if len(o) == 0 {
		return l
	}
	out := make(steady.Latencies, len(l))
	for i := range l {
		out[i] = l[i] - o[i]
	}
	return out
}

// forgotten says whether nothing has been counted for so long that nobody needs
// to be told any more.
func (p *past) forgotten(now time.Time) bool {
	return now.Sub(p.samples[len(p.samples)-1].at) > forgetAfter
}

// sample adds to the past of every counter, where it is time.
func (c *counters) sample(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.sampled) < sampleEvery {
		return
	}
	c.sampled = now
	for _, releases := range c.all {
		for _, n := range releases {
			n.past.add(now, n)
		}
	}
}
