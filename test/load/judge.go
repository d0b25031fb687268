package load

import (
	"cmp"
	"slices"
	"time"
)

// Shift is one release's turn to answer. Turns are given in their order, and a
// release may have several: 1, 2, then 1 again is a rollback.
type Shift struct {
	Release int
	From    time.Time // its rollout was ordered: it cannot answer before; zero: not known
	Done    time.Time // its rollout was done: nothing sent later may be answered by an earlier turn; zero: not known
	Mixed   bool      // it and its predecessor answer side by side until Done, as with parallelism below the replicas
}

// Ascending are turns of all releases that answered, by number. They judge a run
// with deploys only.
func (r Report) Ascending() []Shift {
	var numbers []int
	for _, a := range r.answers {
		numbers = append(numbers, a.Release)
	}
	slices.Sort(numbers)
	var turns []Shift
	for _, n := range slices.Compact(numbers) {
		if n != 0 {
			turns = append(turns, Shift{Release: n})
		}
	}
	return turns
}

// Judge answers what came from the wrong release: once one answer of a turn has
// been read completely, or its rollout is done, no request whose sending began
// after that may be answered by an earlier turn. Releases of no turn are wrong;
// answers that name none are not judged.
func (r Report) Judge(turns ...Shift) []Answer {
	j := judge{turns: turns, start: r.Started}
	return j.run(r.answers)
}

type judge struct {
	turns []Shift
	start time.Time
	floor int // the turn below which nothing may answer any more
}

// moment is one thing that happened, as far as it matters for the floor.
type moment struct {
	at   time.Duration
	kind int // a turn's done, an answer read, a sending begun; at one moment in this order reversed
	i    int // of the turn or the answer
}

const (
	sending = iota
	reading
	turnDone
)

func (j *judge) run(answers []Answer) []Answer {
	var moments []moment
	for i, a := range answers {
		if a.Release != 0 {
			moments = append(moments, moment{a.Sent, sending, i}, moment{a.Done, reading, i})
		}
	}
	for i, t := range j.turns {
		if !t.Done.IsZero() {
			moments = append(moments, moment{t.Done.Sub(j.start), turnDone, i})
		}
	}
	slices.SortFunc(moments, func(a, b moment) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind), cmp.Compare(a.i, b.i))
	})
	var wrong []Answer
	floors := make([]int, len(answers)) // at the sending
	for _, m := range moments {
		switch m.kind {
		case sending:
			floors[m.i] = j.floor
		case turnDone:
			j.raise(m.i)
		case reading:
			if !j.read(answers[m.i], floors[m.i]) {
				wrong = append(wrong, answers[m.i])
			}
		}
	}
	return wrong
}

// read gives the answer to the earliest turn it can belong to, false if there
// is none. Several turns of one release make the judge lenient, never unjust.
func (j *judge) read(a Answer, floor int) bool {
	for i := floor; i < len(j.turns); i++ {
		t := j.turns[i]
		if t.Release != a.Release || (!t.From.IsZero() && a.Done < t.From.Sub(j.start)) {
			continue
		}
		if t.Mixed {
			j.raise(i - 1)
		} else {
			j.raise(i)
		}
		return true
	}
	return false
}

func (j *judge) raise(turn int) { j.floor = max(j.floor, turn) }

// Early are the streams that the server ended, in order or not, before their
// clock had run: a stream may end only clock after the order of the rollout
// that followed its own release's turn. The drain begins later than the order,
// so whatever is found here is early indeed.
func (r Report) Early(clock time.Duration, turns ...Shift) []StreamEnd {
	var early []StreamEnd
	for _, e := range r.ends {
		if (e.How == Closed || e.How == CutOff) && !mayEnd(r.Started, e, clock, turns) {
			early = append(early, e)
		}
	}
	return early
}

func mayEnd(start time.Time, e StreamEnd, clock time.Duration, turns []Shift) bool {
	for i := 1; i < len(turns); i++ {
		before := turns[i-1]
		if before.Release != e.Release && e.Release != 0 {
			continue
		}
		from := turns[i].From.Sub(start)
		if from > 0 && e.Opened < turns[i].end(start, from) && e.Ended >= from+clock {
			return true
		}
	}
	return false
}

// end is the last moment at which a stream of the turn before can have opened.
func (t Shift) end(start time.Time, from time.Duration) time.Duration {
	if t.Done.IsZero() {
		return from + time.Hour
	}
	return t.Done.Sub(start)
}
