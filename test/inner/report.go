package inner

import "time"

// Report is what one caller counted, all kinds of clients at once.
type Report struct {
	Started time.Time     `json:"started"`
	Elapsed time.Duration `json:"elapsed"`
	HTTP    []HTTP        `json:"http"`
	TCP     []TCP         `json:"tcp"`
}

// HTTP is what one kind of HTTP client counted.
type HTTP struct {
	Kind    string         `json:"kind"` // "keepalive", "fresh", "post", "slow"; "once/…" where the name was resolved but once
	Sent    int            `json:"sent"`
	OK      int            `json:"ok"`
	Lost    map[string]int `json:"lost"`   // by phase, in test/load's words
	Unsent  int            `json:"unsent"` // due but never begun
	Wrong   int            `json:"wrong"`  // answered by a release that had been replaced
	Errors  []string       `json:"errors,omitempty"`
	P50     time.Duration  `json:"p50"`
	P99     time.Duration  `json:"p99"`
	Longest time.Duration  `json:"longest"`
}

// Phases of a TCP client. A connect that is taken and ended before the server's
// first words has failed: something in between took it for nobody.
const (
	PhaseRefused  = "refused"
	PhaseConnect  = "connect"  // timed out, unreachable, or the name was not found
	PhaseGreeting = "greeting" // it ended, or was silent, before the server's greeting
	PhaseAnswer   = "answer"   // it ended, or was silent, with a question out
	PhaseWrong    = "wrong"    // another answer came than should have
)

// TCP is what one kind of TCP client counted.
type TCP struct {
	Kind     string         `json:"kind"` // "long", "short" or "nats"
	Connects int            `json:"connects"`
	Failed   map[string]int `json:"failed"` // of Connects, by phase
	Asked    int            `json:"asked"`
	Lost     map[string]int `json:"lost"` // of Asked, by phase
	Unsent   int            `json:"unsent"`
	Wrong    int            `json:"wrong"` // connections to a release that had been replaced when they were begun
	Ends     []End          `json:"ends"`  // of connections that the client did not end
	Errors   []string       `json:"errors,omitempty"`
	Slowest  time.Duration  `json:"slowest"` // connect, from the dial to the greeting
}

// End is the end of a connection that the client would have kept. Times count
// from the report's Started.
type End struct {
	Opened  time.Duration `json:"opened"`
	Ended   time.Duration `json:"ended"`
	Release int           `json:"release"`
	Asking  bool          `json:"asking"` // a question was out
	Err     string        `json:"err"`
}

// Lost counts HTTP requests of every kind.
func (r Report) Lost() int {
	n := 0
	for _, h := range r.HTTP {
		n += sum(h.Lost)
	}
	return n
}

// Sent counts HTTP requests of every kind.
func (r Report) Sent() int {
	n := 0
	for _, h := range r.HTTP {
		n += h.Sent
	}
	return n
}

// Unsent counts what was due and never begun, of every kind.
func (r Report) Unsent() int {
	n := 0
	for _, h := range r.HTTP {
		n += h.Unsent
	}
	for _, t := range r.TCP {
		n += t.Unsent
	}
	return n
}

// Wrong counts answers and connections of releases that had been replaced.
func (r Report) Wrong() int {
	n := 0
	for _, h := range r.HTTP {
		n += h.Wrong
	}
	for _, t := range r.TCP {
		n += t.Wrong
	}
	return n
}

// Failed counts TCP connects that failed, in the phases named, or in any.
func (r Report) Failed(phases ...string) int {
	n := 0
	for _, t := range r.TCP {
		n += of(t.Failed, phases)
	}
	return n
}

// LostIn counts HTTP requests that were lost in the phases named.
func (r Report) LostIn(phases ...string) int {
	n := 0
	for _, h := range r.HTTP {
		n += of(h.Lost, phases)
	}
	return n
}

// Of finds the kind of TCP client.
func (r Report) Of(kind string) TCP {
	for _, t := range r.TCP {
		if t.Kind == kind {
			return t
		}
	}
	return TCP{}
}

// Ends counts connections that were ended under the clients' hands.
func (r Report) Ends() int {
	n := 0
	for _, t := range r.TCP {
		n += len(t.Ends)
	}
	return n
}

func of(counts map[string]int, phases []string) int {
	if len(phases) == 0 {
		return sum(counts)
	}
	n := 0
	for _, p := range phases {
		n += counts[p]
	}
	return n
}

func sum(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}
