package steady

// Losses is what visitors met during a rollout.
type Losses struct {
	Requests      int64 `json:"requests"`       // all
	Lost          int64 `json:"lost"`           // answered by us instead or broken off, cut ones included
	Cut           int64 `json:"cut"`            // of Lost: by the drain's clock
	StreamsCut    int64 `json:"streams_cut"`    // by the drain's clock, whatever was under way
	StreamsQuiet  int64 `json:"streams_quiet"`  // by the drain's clock, while nothing was under way: no loss
	StreamsClosed int64 `json:"streams_closed"` // by the drain's clock, in an orderly way: no loss
	Streams       int64 `json:"streams"`        // begun
}

// Sum is what counts as lost: requests, and streams that were cut.
func (l Losses) Sum() int64 { return l.Lost + l.StreamsCut }

// Losses adds a service's up. A drain counts apart from the releases' counts, and
// what it waited for may have come past the proxy: the worse of the two is told.
func (s ServiceReceipt) Losses() Losses {
	c, d := s.All(), s.Drained
	return Losses{
		Requests: c.Requests, Streams: c.Streams,
		Cut:           max(c.Cut, int64(d.Cut)),
		Lost:          max(c.Lost, int64(d.Cut)),
		StreamsCut:    max(c.StreamsCut, int64(d.StreamsCut)),
		StreamsQuiet:  max(c.StreamsQuiet, int64(d.StreamsQuiet)),
		StreamsClosed: max(c.StreamsClosed, int64(d.StreamsClosed)),
	}
}

// Losses adds up those of all services.
func (r Receipt) Losses() Losses {
	var l Losses
	for _, s := range r.Services {
		o := s.Losses()
		l.Requests += o.Requests
		l.Lost += o.Lost
		l.Cut += o.Cut
		l.StreamsCut += o.StreamsCut
		l.StreamsQuiet += o.StreamsQuiet
		l.StreamsClosed += o.StreamsClosed
		l.Streams += o.Streams
	}
	return l
}
