package steady

import "time"

// Counts is what the proxy counted for one release of one service since the
// proxy began. Take the difference of two to know a span.
type Counts struct {
	Requests      int64 `json:"requests"`       // HTTP requests claimed
	Answered      int64 `json:"answered"`       // whose answer was passed on whole
	Errors        int64 `json:"errors"`         // answers of the app with status ≥ 500
	Lost          int64 `json:"lost"`           // answered by us instead (502, 503, 504) or broken off by the app midway
	Cut           int64 `json:"cut"`            // of Lost: broken off by us when the drain's clock ran out
	Left          int64 `json:"left"`           // given up by the client
	Retried       int64 `json:"retried"`        // sent again to another upstream, harmlessly
	Streams       int64 `json:"streams"`        // WebSocket, SSE and TCP connections begun
	StreamsEnded  int64 `json:"streams_ended"`  // ended by client or app
	StreamsClosed int64 `json:"streams_closed"` // closed by us in an orderly way when the clock ran out
	StreamsQuiet  int64 `json:"streams_quiet"`  // ended by us when the clock ran out, while nothing was under way
	StreamsCut    int64 `json:"streams_cut"`    // cut by us when the clock ran out, whatever was under way

	// Maintained are answered with a maintenance's page, or closed because of it;
	// they are in no other count.
	Maintained int64 `json:"maintained,omitempty"`

	Held   int64 `json:"held,omitempty"`   // waited at a gate, requests and connections, whatever became of them
	Turned int64 `json:"turned,omitempty"` // of Lost: refused at a gate that was full, or whose time was over
	Elder  int64 `json:"elder,omitempty"`  // asked of the release before, as the new one answered 404
}

// Minus is the span between an earlier count and this one.
func (c Counts) Minus(o Counts) Counts {
	return Counts{
		Requests: c.Requests - o.Requests, Answered: c.Answered - o.Answered, Errors: c.Errors - o.Errors,
		Lost: c.Lost - o.Lost, Cut: c.Cut - o.Cut, Left: c.Left - o.Left, Retried: c.Retried - o.Retried,
		Streams: c.Streams - o.Streams, StreamsEnded: c.StreamsEnded - o.StreamsEnded,
		StreamsClosed: c.StreamsClosed - o.StreamsClosed, StreamsQuiet: c.StreamsQuiet - o.StreamsQuiet, StreamsCut: c.StreamsCut - o.StreamsCut,
		Maintained: c.Maintained - o.Maintained,
		Held:       c.Held - o.Held, Turned: c.Turned - o.Turned, Elder: c.Elder - o.Elder,
	}
}

// Plus adds two counts.
func (c Counts) Plus(o Counts) Counts {
	return c.Minus(Counts{}.Minus(o))
}

// Traffic is the proxy's counts by service and release: "shop/api" → release →
// counts. Release 0 counts what found no upstream.
type Traffic map[string]map[int]Counts

// Drained tells how the drain of one or more replicas went.
type Drained struct {
	Requests      int           `json:"requests"`              // in flight when it began
	Longest       time.Duration `json:"longest"`               // until the last of them ended
	Cut           int           `json:"cut"`                   // requests that outlived their clock
	Streams       int           `json:"streams"`               // open when it began
	StreamsEnded  int           `json:"streams_ended"`         // by themselves
	StreamsClosed int           `json:"streams_closed"`        // by us, in an orderly way (WebSocket close frame, end of a response)
	StreamsQuiet  int           `json:"streams_quiet"`         // by us, while nothing was under way (raw TCP)
	StreamsCut    int           `json:"streams_cut"`           // by us, whatever was under way
	Flows         int           `json:"flows,omitempty"`       // of UDP, that led there when it began or since
	FlowsMoved    int           `json:"flows_moved,omitempty"` // of them: still busy when the clock ran out, and led elsewhere from then on
}

// Plus adds another drain: numbers add up, Longest is the longer one.
func (d Drained) Plus(o Drained) Drained {
	d.Requests += o.Requests
	d.Longest = max(d.Longest, o.Longest)
	d.Cut += o.Cut
	d.Streams += o.Streams
	d.StreamsEnded += o.StreamsEnded
	d.StreamsClosed += o.StreamsClosed
	d.StreamsQuiet += o.StreamsQuiet
	d.StreamsCut += o.StreamsCut
	d.Flows += o.Flows
	d.FlowsMoved += o.FlowsMoved
	return d
}

// Receipt is what was counted during one rollout.
type Receipt struct {
	Rollout  int64            `json:"rollout"`
	Project  string           `json:"project"`
	Took     time.Duration    `json:"took"`
	Services []ServiceReceipt `json:"services"`

	Began  time.Time    `json:"began,omitzero"`   // from when on it was counted
	Ended  time.Time    `json:"ended,omitzero"`   // until when
	Missed []Missed     `json:"missed,omitempty"` // stretches in between that nobody counted
	Shifts []Shifted    `json:"shifts,omitempty"`
	Phases []PhaseTaken `json:"phases,omitempty"` // in the order in which they began
	Series *Series      `json:"series,omitempty"` // left out of lists and events
}

// Missed is a stretch of which the proxy's counts are lost with the proxy: it died,
// or did not answer.
type Missed struct {
	From time.Time `json:"from"`          // last reading
	To   time.Time `json:"to"`            // when a proxy counted again; the receipt's end where none did
	Open Open      `json:"open,omitzero"` // in flight at the last reading
}

// Shifted is a shift that was done: when, and what it led where.
type Shifted struct {
	At       time.Time      `json:"at"`
	Step     string         `json:"step"` // Step.ID
	Services []ServiceShift `json:"services"`
}

// ServiceShift is one service's part of a shift.
type ServiceShift struct {
	Service  string `json:"service"`
	Release  int    `json:"release"`       // that serves from then on
	Replicas int    `json:"replicas"`      // that take its traffic from then on; 0: nobody does
	Left     Open   `json:"left,omitzero"` // what was in flight at other releases just then
	// Trial is the release on trial beside it, and Percent its share of what comes;
	// 0: there is none.
	Trial   int     `json:"trial,omitempty"`
	Percent float64 `json:"percent,omitempty"`
	Held    bool    `json:"held,omitempty"` // what comes waits at the gate
}

// PhaseTaken is when a service went through one kind of step: from the beginning of
// the first to the end of the last. Empty: of several services.
type PhaseTaken struct {
	Service string    `json:"service,omitempty"`
	Kind    string    `json:"kind"` // of step
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Undo    bool      `json:"undo,omitempty"` // on the way back
}

// ServiceReceipt is the part of a receipt that concerns one service.
type ServiceReceipt struct {
	Service  string         `json:"service"`
	From     int            `json:"from"`
	To       int            `json:"to"`
	Releases map[int]Counts `json:"releases"` // what each release answered during the rollout
	Drained  Drained        `json:"drained"`

	Strategy string          `json:"strategy,omitempty"`
	Answers  map[int]Answers `json:"answers,omitempty"` // of the same releases, during the rollout
	Before   Stretch         `json:"before,omitzero"`   // the minute before it began, or as much as there was, all releases
	After    Stretch         `json:"after,omitzero"`    // from the last shift to the end, the release that serves then

	Ready time.Duration `json:"ready,omitempty"` // longest from a new replica's start until it was ready
	Gap   time.Duration `json:"gap,omitempty"`   // how long nothing of it took traffic
	// Uncounted says what came to it past the proxy, and so is not in these figures.
	Uncounted []string `json:"uncounted,omitempty"`
}

// All is what its releases counted together.
func (s ServiceReceipt) All() Counts {
	var all Counts
	for _, c := range s.Releases {
		all = all.Plus(c)
	}
	return all
}

// Answered is how its releases answered, together.
func (s ServiceReceipt) Answered() Answers {
	var all Measure
	for _, a := range s.Answers {
		all = all.Plus(Measure{Answers: a})
	}
	return all.Answers
}

// Of finds the part of one service.
func (r Receipt) Of(service string) (ServiceReceipt, bool) {
	for _, s := range r.Services {
		if s.Service == service {
			return s, true
		}
	}
	return ServiceReceipt{}, false
}

// Brief is the receipt without what only plots need.
func (r Receipt) Brief() Receipt {
	r.Series = nil
	return r
}

// Lost is how many requests were lost during the rollout, cut ones included.
func (r Receipt) Lost() int64 {
	var n int64
	for _, s := range r.Services {
		n += s.All().Lost
	}
	return n
}

// Requests is how many requests the rollout's services took meanwhile.
func (r Receipt) Requests() int64 {
	var n int64
	for _, s := range r.Services {
		n += s.All().Requests
	}
	return n
}
