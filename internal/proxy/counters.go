package proxy

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
)

// counter is steady.Counts while it is being counted. One of its own per
// service and release; an atomic add per event.
type counter struct {
	requests, answered, errors, lost, cut, left, retried atomic.Int64
	streams, streamsEnded, streamsClosed                 atomic.Int64
	streamsQuiet, streamsCut                             atomic.Int64
	maintained, held, turned, elder                      atomic.Int64
	classes                                              [6]atomic.Int64 // answers of the app by the first digit of their status
	took                                                 atomic.Pointer[took]
	waits                                                atomic.Pointer[took] // at the gate
	longestWait                                          atomic.Int64         // nanoseconds
	past                                                 past                 // guarded by counters.mu
	known                                                known                // where the release speaks HTTP
}

func (c *counter) read() steady.Counts {
	return steady.Counts{
		Requests: c.requests.Load(), Answered: c.answered.Load(), Errors: c.errors.Load(),
		Lost: c.lost.Load(), Cut: c.cut.Load(), Left: c.left.Load(), Retried: c.retried.Load(),
		Streams: c.streams.Load(), StreamsEnded: c.streamsEnded.Load(),
		StreamsClosed: c.streamsClosed.Load(), StreamsQuiet: c.streamsQuiet.Load(), StreamsCut: c.streamsCut.Load(),
		Maintained: c.maintained.Load(), Held: c.held.Load(), Turned: c.turned.Load(), Elder: c.elder.Load(),
	}
}

// counters holds every counter since the proxy began. Looked up when a pool or
// an upstream is made, never per request. So are the gates and identities that
// pools share.
type counters struct {
	mu      sync.Mutex
	all     map[string]map[int]*counter
	sampled time.Time // when the past was last added to
	gates   map[string]*gate
	who     identities // of the upstreams
}

// gate gives a service's gate.
func (c *counters) gate(service string) *gate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gates == nil {
		c.gates = map[string]*gate{}
	}
	if c.gates[service] == nil {
		c.gates[service] = &gate{}
	}
	return c.gates[service]
}

// allGates lists the gates there are, by service.
func (c *counters) allGates() map[string]*gate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.gates)
}

func (c *counters) of(service string, release int) *counter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]map[int]*counter{}
	}
	releases := c.all[service]
	if releases == nil {
		releases = map[int]*counter{}
		c.all[service] = releases
	}
	if releases[release] == nil {
		releases[release] = &counter{past: newPast(time.Now())}
	}
	return releases[release]
}

// read leaves out what has counted nothing.
func (c *counters) read() steady.Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := steady.Traffic{}
	for service, releases := range c.all {
		counts := map[int]steady.Counts{}
		for release, n := range maps.All(releases) {
			if read := n.read(); read != (steady.Counts{}) {
				counts[release] = read
			}
		}
		if len(counts) > 0 {
			t[service] = counts
		}
	}
	return t
}
