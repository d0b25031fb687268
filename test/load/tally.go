package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"gesalpai.ch/steady/internal/drill"
)

// Answer is one complete answer. Sent and Done count from the report's Started.
// A stream is answered with its first message.
type Answer struct {
	Load    string        `json:"load"`
	N       int           `json:"n"`
	Sent    time.Duration `json:"sent"` // writing began
	Done    time.Duration `json:"done"` // the last byte was read
	Release int           `json:"release"`
	OK      bool          `json:"ok"`
}

// Loss is one request, or one open stream, that was lost.
type Loss struct {
	Load  string        `json:"load"`
	ID    string        `json:"id"`
	At    time.Duration `json:"at"` // since Started
	Phase Phase         `json:"phase"`
	Err   string        `json:"err"`
}

// tally is what one load counts. Its methods are safe for concurrent use.
type tally struct {
	run   string
	start time.Time

	mu      sync.Mutex
	sum     Summary
	hist    *hdrhistogram.Histogram // microseconds
	answers []Answer
	losses  []Loss
	ends    []StreamEnd
}

func newTally(name, run string, start time.Time, timeout time.Duration) *tally {
	return &tally{
		run:   run,
		start: start,
		sum:   Summary{Load: name, Lost: map[Phase]int{}, Statuses: map[int]int{}},
		// A request that waited for its lane can take longer than the timeout.
		hist: hdrhistogram.New(1, max(10*timeout, time.Minute).Microseconds(), 3),
	}
}

func (t *tally) sent() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Sent++
}

// Opened implements drill.Watcher.
func (t *tally) Opened() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Connections++
}

// Unusable implements drill.Watcher.
func (t *tally) Unusable(state drill.Idle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if state == drill.Stray {
		t.sum.Strays++
		return
	}
	t.sum.Dropped++
}

func (t *tally) unsent(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Unsent += n
}

// answered notes a complete answer, whatever it says.
func (t *tally) answered(a Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a.Load = t.sum.Load
	t.answers = append(t.answers, a)
	if a.Release == 0 {
		t.sum.Unnamed++
	}
}

func (t *tally) status(code int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Statuses[code]++
}

func (t *tally) ok() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.OK++
}

func (t *tally) took(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	us := min(max(d.Microseconds(), 1), t.hist.HighestTrackableValue())
	_ = t.hist.RecordValue(us) // within its bounds
}

func (t *tally) lost(id string, lost *fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Lost[lost.Phase]++
	t.losses = append(t.losses, Loss{
		Load: t.sum.Load, ID: id, At: time.Since(t.start), Phase: lost.Phase, Err: lost.Err.Error(),
	})
}

func (t *tally) message(silence time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Streams.Messages++
	t.sum.Streams.Silence = max(t.sum.Streams.Silence, silence)
}

func (t *tally) ended(e StreamEnd) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Load = t.sum.Load
	t.ends = append(t.ends, e)
	t.sum.Streams.count(e.How)
}

func (t *tally) counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Counts{Sent: t.sum.Sent, OK: t.sum.OK, Lost: t.sum.lost(), Cut: t.sum.Lost[Cut]}
}

// summary is what was counted; the tally must not be used any more.
func (t *tally) summary() Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Latency = Latency{
		P50:     micros(t.hist.ValueAtQuantile(50)),
		P90:     micros(t.hist.ValueAtQuantile(90)),
		P99:     micros(t.hist.ValueAtQuantile(99)),
		P999:    micros(t.hist.ValueAtQuantile(99.9)),
		Longest: micros(t.hist.Max()),
	}
	return t.sum
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
