package steady

import (
	"fmt"
	"strconv"
	"time"
)

// What a Trial wants to know before it calls a release bad.
const (
	fewFailures = 5                     // fewer are never evidence
	fewAnswers  = 20                    // fewer say nothing of how long answers take
	fewKnown    = 100                   // of a release that serves beside: fewer, and the time before the shift is better known
	fewSpans    = 3                     // failures within fewer spans between two looks are one mishap
	slowSpans   = 8                     // so many spans must be slow, and
	mostSpans   = 2.0 / 3               // this share of all, or it is a pause
	grain       = 10 * time.Millisecond // slower by less is not slower
	likewise    = 1.5                   // up to so many times what the release before had is no difference
)

// Trial judges the traffic of a new release against that of the one before, from
// one look at the proxy's counters to the next. The release before is known by what
// it answers meanwhile where both serve, else by its minute before the shift, else
// by its life.
//
// A release is bad when more of its requests fail than Watch.Errors allows and than
// half as many again as failed of the release before; or when it is Watch.Latency
// times slower, by the half of its answers or by a quarter of them that are all
// slower than a tenth was. Each must be evident: see evidence. It is for
// one goroutine.
type Trial struct {
	watch    Watch
	new, old int // releases
	start    Flow
	before   Flow

	at        time.Duration
	prev, now Flow // of the new one, at the two last looks
	faults    int  // spans between two looks in which something failed
	settled   *Flow
	spans     int // between two looks, since then, in which something was answered or hung
	slow      map[way]slowness
	arrivals  []arrival
}

// slowness is how many of so many requests took too long, and in how many spans it
// was too many of them.
type slowness struct {
	slow, all int64
	spans     int
}

// arrival is how many requests had come by then.
type arrival struct {
	at       time.Duration
	requests int64
}

// Verdict is what is to be said of a release at one moment of its watch window.
type Verdict struct {
	Bad bool
	Why string // what it did, in words; empty unless it is bad
}

// NewTrial begins at the shift: start is the flow of the new release then, before
// that of the old one.
func NewTrial(w Watch, newer, older int, start, before Flow) *Trial {
	t := &Trial{watch: w, new: newer, old: older, start: start, before: before}
	t.begin()
	return t
}

func (t *Trial) begin() {
	t.now, t.settled, t.faults, t.spans, t.slow = t.start, nil, 0, 0, map[way]slowness{}
	t.arrivals = []arrival{{t.at, t.start.Counts.Requests}}
}

// See takes a look: at is the time since the shift, newer and older are the flows
// of both releases.
func (t *Trial) See(at time.Duration, newer, older Flow) Verdict {
	if newer.Counts.Requests < t.now.Counts.Requests || newer.Counts.Streams < t.now.Counts.Streams {
		t.start = Flow{} // the proxy has begun anew, and counts from nothing
		t.begin()
	}
	t.at, t.prev, t.now = at, t.now, newer
	t.arrivals = append(t.arrivals, arrival{at, newer.Counts.Requests})
	if failures(newer.Counts) > failures(t.prev.Counts) {
		t.faults++
	}
	known := t.known(older)
	if why := t.failing(known); why != "" {
		return Verdict{Bad: true, Why: why}
	}
	if why := t.slower(known); why != "" {
		return Verdict{Bad: true, Why: why}
	}
	return Verdict{}
}

// known is the part of the older release's flow to compare with.
func (t *Trial) known(older Flow) Flow {
	meanwhile := Flow{Counts: older.Counts.Minus(t.before.Counts), Took: minus(older.Took, t.before.Took), Open: older.Open}
	switch {
	case older.Routed && meanwhile.Counts.Requests >= fewKnown && tries(meanwhile.Counts) >= fewKnown:
		return meanwhile
	case tries(t.before.Minute.Counts) >= fewAnswers:
		return Flow{Counts: t.before.Minute.Counts, Took: t.before.Minute.Took, Open: t.before.Open}
	}
	return t.before
}

// tries is how many requests, or connections where there is nothing else, have come
// to an end that tells something.
func tries(c Counts) int64 {
	if c.Requests == 0 {
		return c.Streams + failures(c)
	}
	return c.Answered + failures(c) - c.Errors
}

// failures is how many of them failed, but for those that we cut ourselves.
func failures(c Counts) int64 { return c.Errors + c.Lost - c.Cut }

// failing says what is wrong with the new one's answers, if anything is.
func (t *Trial) failing(known Flow) string {
	c := t.now.Counts.Minus(t.start.Counts)
	bad, n := failures(c), tries(c)
	most := t.allowed(known.Counts)
	if t.watch.Errors < 0 || bad < fewFailures || t.faults < fewSpans || !evident(bad, n, most) {
		return ""
	}
	how := "with 5xx"
	if c.Lost > c.Cut {
		how = "with 5xx or not at all"
	}
	return fmt.Sprintf("release %d answered %d requests in %s, %d of them %s (%s; allowed %s; release %d: %s)",
		t.new, n, t.at.Round(100*time.Millisecond), bad, how, percent(bad, n), share(most), t.old, percent(failures(known.Counts), tries(known.Counts)))
}

// allowed is the share of failures that is no reason to go back.
func (t *Trial) allowed(c Counts) float64 {
	if t.watch.Said && tries(c) < fewAnswers {
		return t.watch.Errors
	}
	return max(t.watch.Errors, likewise*atMost(failures(c), tries(c)))
}

// slower says how the new one is slower than the old one, if it is.
func (t *Trial) slower(known Flow) string {
	if t.settled == nil {
		t.settle()
		return ""
	}
	if t.watch.Latency <= 0 || known.Took.Count() < fewAnswers {
		return ""
	}
	if minus(t.now.Took, t.prev.Took).Count()+t.hung(t.limit(known, ways[0])) > 0 {
		t.spans++
	}
	for _, by := range ways {
		if limit := t.limit(known, by); t.later(known, limit, by) {
			return t.slowWords(known, limit, by)
		}
	}
	return ""
}

// way is one in which a release may be slower: more than most of its answers are
// slower than the old one's quantile allows.
type way struct {
	quantile, most float64
	words          string
}

var ways = [...]way{{0.5, 0.5, "half of them"}, {0.9, 0.25, "a quarter of them"}}

func (t *Trial) slowWords(known Flow, limit time.Duration, by way) string {
	took, hung := minus(t.now.Took, t.settled.Took), t.hung(limit)
	what := fmt.Sprintf("%s in more than %s (allowed %s", by.words, round(took.Quantile(1-by.most)), round(limit))
	if hung > took.Count()/4 {
		what = fmt.Sprintf("and %d more wait for longer (allowed %s", hung, round(limit))
	}
	return fmt.Sprintf("release %d answered %d requests in %s, %s; release %d: half within %s, nine of ten within %s)",
		t.new, tries(t.now.Counts.Minus(t.start.Counts)), t.at.Round(100*time.Millisecond), what,
		t.old, round(known.Took.Quantile(0.5)), round(known.Took.Quantile(0.9)))
}

// settle notes from when on latency is judged, once that time has come.
func (t *Trial) settle() {
	if t.at < t.watch.After {
		return
	}
	from := t.now
	if t.watch.After == 0 {
		from = t.start
	}
	t.settled = &from
}

// limit is what is too slow for the new one.
func (t *Trial) limit(known Flow, by way) time.Duration {
	was := known.Took.Quantile(by.quantile)
	return max(time.Duration(t.watch.Latency*float64(was)), was+grain)
}

// later says whether it is evident that more than most of the new one's requests
// take longer than limit, and not only in some spans. What still waits after that
// time is among them; what was open when latency began to be judged is not, as it
// had come before.
func (t *Trial) later(known Flow, limit time.Duration, by way) bool {
	waiting := int64(known.Open.Requests)
	most := max(by.most, likewise*atMost(beyond(known.Took, limit)+waiting, known.Took.Count()+waiting))
	took, hung := minus(t.now.Took, t.settled.Took), t.hung(limit)
	was := t.slow[by]
	now := slowness{spans: was.spans}
	now.slow = max(0, beyond(took, limit)+hung-int64(t.settled.Open.Requests))
	now.all = max(now.slow, took.Count()+hung-int64(t.settled.Open.Requests))
	if more := now.slow - was.slow; more > 0 && float64(more) > most*float64(now.all-was.all) {
		now.spans++
	}
	t.slow[by] = now
	return now.all >= fewAnswers && now.spans >= slowSpans && float64(now.spans) >= mostSpans*float64(t.spans) &&
		evident(now.slow, now.all, most)
}

// hung is how many requests must have waited for longer than d, at least: those
// open, but for all that have come since.
func (t *Trial) hung(d time.Duration) int64 {
	i := len(t.arrivals) - 1
	for i > 0 && t.at-t.arrivals[i].at < d {
		i--
	}
	if t.at-t.arrivals[i].at < d {
		return 0
	}
	return max(0, int64(t.now.Open.Requests)-(t.now.Counts.Requests-t.arrivals[i].requests))
}

// Words tell how a release did that was not found to be bad.
func (t *Trial) Words() string {
	c := t.now.Counts.Minus(t.start.Counts)
	took := minus(t.now.Took, t.start.Took)
	said := fmt.Sprintf("%d requests, %d errors", tries(c), failures(c))
	if p := took.Quantile(0.99); p > 0 {
		said += ", p99 " + round(p).String()
		if was := t.before.Minute.Took.Quantile(0.99); was > 0 {
			said += " (was " + round(was).String() + ")"
		}
	}
	return said
}

func percent(part, of int64) string {
	if of == 0 {
		return "nothing known"
	}
	return share(float64(part) / float64(of))
}

// share is a share in per cent, to a tenth.
func share(s float64) string {
	return strconv.FormatFloat(float64(int64(s*1000+0.5))/10, 'f', -1, 64) + " %"
}

// round keeps two or three digits.
func round(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d > 100*time.Millisecond:
		return d.Round(time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(10 * time.Microsecond)
}
