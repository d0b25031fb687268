package load

import (
	"encoding/json"
	"slices"
	"time"
)

// listed is how many losses a report lists.
const listed = 20

// Report is what one run counted.
type Report struct {
	Run     string        `json:"run"`
	URL     string        `json:"url"`
	Rate    float64       `json:"rate"`    // asked for, per second
	Started time.Time     `json:"started"` // zero of all offsets
	Elapsed time.Duration `json:"elapsed"` // of sending
	Loads   []Summary     `json:"loads"`
	Losses  []Loss        `json:"losses,omitempty"` // the first 20
	Err     error         `json:"-"`                // nothing was fired

	answers []Answer // by Done
	lost    []Loss   // by At
	ends    []StreamEnd
}

// Summary is what one load counted. Sent = OK + the sum of Lost: of the streams
// those that were opened, or tried to be.
type Summary struct {
	Load        string         `json:"load"`
	Sent        int            `json:"sent"`
	OK          int            `json:"ok"`
	Lost        map[Phase]int  `json:"lost"`
	Unsent      int            `json:"unsent"`   // due before the end, but not begun: every lane was taken
	Statuses    map[int]int    `json:"statuses"` // of complete answers
	Unnamed     int            `json:"unnamed"`  // answers that name no release
	Connections int            `json:"connections"`
	Dropped     int            `json:"dropped"` // idle connections whose end was seen before use: no loss
	Strays      int            `json:"strays"`  // idle connections on which bytes had come unasked
	Latency     Latency        `json:"latency"` // from due to the last byte; of messages from due to echo
	Streams     *StreamSummary `json:"streams,omitempty"`
}

// Latency are the percentiles of one load.
type Latency struct {
	P50     time.Duration `json:"p50"`
	P90     time.Duration `json:"p90"`
	P99     time.Duration `json:"p99"`
	P999    time.Duration `json:"p999"`
	Longest time.Duration `json:"longest"`
}

// StreamSummary counts streams that were open, by how they ended.
type StreamSummary struct {
	Messages int           `json:"messages"`
	Closed   int           `json:"closed"`
	Left     int           `json:"left"`
	Cut      int           `json:"cut"`
	Garbled  int           `json:"garbled"`
	Silence  time.Duration `json:"silence"` // longest between two messages
}

func (s *StreamSummary) count(how Ending) {
	switch how {
	case Closed:
		s.Closed++
	case Left:
		s.Left++
	case CutOff:
		s.Cut++
	case Garbled:
		s.Garbled++
	}
}

// lost counts all losses but cut streams.
func (s Summary) lost() int {
	sum := -s.Lost[Cut]
	for _, n := range s.Lost {
		sum += n
	}
	return sum
}

func (r *Report) collect(tallies []*tally) {
	for _, t := range tallies {
		r.Loads = append(r.Loads, t.summary())
		r.answers = append(r.answers, t.answers...)
		r.lost = append(r.lost, t.losses...)
		r.ends = append(r.ends, t.ends...)
	}
	slices.SortStableFunc(r.answers, func(a, b Answer) int { return int(a.Done - b.Done) })
	slices.SortStableFunc(r.lost, func(a, b Loss) int { return int(a.At - b.At) })
	r.Losses = r.lost[:min(listed, len(r.lost))]
}

func (r Report) sum(of func(Summary) int) int {
	n := 0
	for _, s := range r.Loads {
		n += of(s)
	}
	return n
}

// Sent counts requests, and attempts to open a stream.
func (r Report) Sent() int { return r.sum(func(s Summary) int { return s.Sent }) }

// OK counts what was answered as it should be, and streams that ended in order.
func (r Report) OK() int { return r.sum(func(s Summary) int { return s.OK }) }

// Lost counts requests, attempts to open a stream, and streams in which
// something else came than should have. Open streams that were cut are Cut.
func (r Report) Lost() int { return r.sum(Summary.lost) }

// Cut counts open streams that ended without an orderly close.
func (r Report) Cut() int { return r.sum(func(s Summary) int { return s.Lost[Cut] }) }

// Unsent counts requests that were due but never begun.
func (r Report) Unsent() int { return r.sum(func(s Summary) int { return s.Unsent }) }

// Clean says that something was sent, and all of it answered as it should be. On a
// busy machine the client itself may be late, so one in ten that were due may be
// unsent; where more are, the server has kept the lanes waiting.
func (r Report) Clean() bool {
	return r.Err == nil && r.Sent() > 0 && r.Lost() == 0 && r.Cut() == 0 && r.Unsent() <= r.Sent()/10
}

// Answers are all complete answers in the order of their completion.
func (r Report) Answers() []Answer { return r.answers }

// AllLosses are all losses in their order; Losses lists the first.
func (r Report) AllLosses() []Loss { return r.lost }

// Ends are the ends of all streams that were open.
func (r Report) Ends() []StreamEnd { return r.ends }

// ID is the X-Request-Id with which the answered request was sent.
func (r Report) ID(a Answer) string { return requestID(r.Run, a.Load, a.N) }

// MarshalJSON adds the sums to the fields.
func (r Report) MarshalJSON() ([]byte, error) {
	type fields Report
	text := ""
	if r.Err != nil {
		text = r.Err.Error()
	}
	return json.Marshal(struct {
		fields
		Sent   int    `json:"sent"`
		OK     int    `json:"ok"`
		Lost   int    `json:"lost"`
		Cut    int    `json:"cut"`
		Unsent int    `json:"unsent"`
		Wrong  int    `json:"wrong_release"`
		Err    string `json:"err,omitempty"`
	}{fields(r), r.Sent(), r.OK(), r.Lost(), r.Cut(), r.Unsent(), len(r.Judge(r.Ascending()...)), text})
}
