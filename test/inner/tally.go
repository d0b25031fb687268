package inner

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// most bounds the lists of a report.
const (
	mostEnds   = 10_000
	mostErrors = 20
)

// Tally is what one kind of TCP client counts. Its methods are safe for
// concurrent use.
type Tally struct {
	start time.Time

	mu    sync.Mutex
	sum   TCP
	floor int // the newest release that has greeted
}

// NewTally begins to count; start is the report's.
func NewTally(kind string, start time.Time) *Tally {
	return &Tally{start: start, sum: TCP{Kind: kind, Failed: map[string]int{}, Lost: map[string]int{}}}
}

// Connecting counts a connect, and gives the release below which it must not end
// up.
func (t *Tally) Connecting() (floor int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Connects++
	return t.floor
}

// Connected notes the release that a connect came to, and how long it took.
func (t *Tally) Connected(release, floor int, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if release > 0 && release < floor {
		t.sum.Wrong++
	}
	t.floor = max(t.floor, release)
	t.sum.Slowest = max(t.sum.Slowest, took)
}

// Failed counts a connect that failed.
func (t *Tally) Failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Failed[phase(err, PhaseConnect)]++
	t.note(err)
}

// Asked counts a question, and its loss where err is not nil.
func (t *Tally) Asked(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Asked++
	if err != nil {
		t.sum.Lost[phase(err, PhaseAnswer)]++
	}
}

// Unsent counts what was due and never begun.
func (t *Tally) Unsent(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Unsent += n
}

// Ended notes a connection that was ended under the client's hands.
func (t *Tally) Ended(opened time.Time, release int, asking bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.sum.Ends) < mostEnds {
		t.sum.Ends = append(t.sum.Ends, End{
			Opened: opened.Sub(t.start), Ended: time.Since(t.start), Release: release, Asking: asking, Err: fmt.Sprint(err),
		})
	}
}

// Error keeps what a person may want to read.
func (t *Tally) Error(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note(err)
}

func (t *Tally) note(err error) {
	if len(t.sum.Errors) < mostErrors {
		t.sum.Errors = append(t.sum.Errors, time.Since(t.start).Round(time.Millisecond).String()+" "+err.Error())
	}
}

// Sum is what was counted so far.
func (t *Tally) Sum() TCP {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sum
	s.Failed, s.Lost = maps.Clone(s.Failed), maps.Clone(s.Lost)
	s.Ends, s.Errors = slices.Clone(s.Ends), slices.Clone(s.Errors)
	return s
}

func phase(err error, otherwise string) string {
	var f *Fault
	if errors.As(err, &f) {
		return f.Phase
	}
	return otherwise
}
