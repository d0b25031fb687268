package steady

import "time"

// Hold keeps what comes to a service waiting at the proxy while its one instance
// is replaced: neither refused nor lost, within bounds. A route and a pool that
// have one are shut; the shift that takes it away lets all go on.
type Hold struct {
	Most  int           `json:"most"`  // requests and connections that may wait; what comes beyond is refused at once, with 503 where it is HTTP
	Bytes int64         `json:"bytes"` // of bodies that may be in memory meanwhile; the rest is left in the sockets
	For   time.Duration `json:"for"`   // how long any of them may wait
	// Lease is how long the gate stays shut unless somebody renews it: the proxy
	// opens it by itself, so that no dead process can keep it shut.
	Lease time.Duration `json:"lease"`
}

// Holding is what the files say of holding a service's requests. Its zero fields,
// and none at all, are the defaults.
type Holding struct {
	Off      bool          `json:"off,omitempty"` // where it is replaced old first, nobody waits
	For      time.Duration `json:"for,omitempty"`
	Requests int           `json:"requests,omitempty"` // and connections
	Bytes    int64         `json:"bytes,omitempty"`    // of bodies in memory
}

// Bounds of a gate where the files are silent; zero-loss.md has the reasons.
const (
	DefaultHoldFor      = 20 * time.Second
	DefaultHoldRequests = 1000
	DefaultHoldBytes    = 64 << 20
	// HoldLease leaves a daemon that died time to come back, and ends before those
	// who wait have waited for DefaultHoldFor in vain.
	HoldLease = 10 * time.Second
	// HoldRenewal is how often a daemon that lives renews it.
	HoldRenewal = time.Second
)

// Gate is the hold that the spec asks for; nil where it wants none.
func (s Spec) Gate() *Hold {
	h := Hold{Most: DefaultHoldRequests, Bytes: DefaultHoldBytes, For: DefaultHoldFor, Lease: HoldLease}
	if s.Holding == nil {
		return &h
	}
	if s.Holding.Off {
		return nil
	}
	if s.Holding.For > 0 {
		h.For = s.Holding.For
	}
	if s.Holding.Requests > 0 {
		h.Most = s.Holding.Requests
	}
	if s.Holding.Bytes > 0 {
		h.Bytes = s.Holding.Bytes
	}
	return &h
}

// GateStatus is a service's gate that is shut, or has not let all go yet.
type GateStatus struct {
	Service string        `json:"service"` // "shop/db"
	Since   time.Time     `json:"since"`   // when it was shut
	Shut    bool          `json:"shut"`    // false: those who waited are being let go
	Lapsed  bool          `json:"lapsed"`  // it opened by itself, as nobody had renewed its lease
	Waiting int           `json:"waiting"` // requests and connections
	Bytes   int64         `json:"bytes"`   // of bodies in memory meanwhile
	Lease   time.Duration `json:"lease"`   // until it opens by itself; 0: it is open
}

// quietShare is how much of the time for which visitors may be held is at most spent on
// quiet moments of open streams: a tenth.
const quietShare = 10

// BriefDrain is the drain's clocks where others wait for its end: each stream is ended at
// its next quiet moment.
func (s Spec) BriefDrain() Drain {
	d := s.Drain
	d.Streams = 0
	if g := s.Gate(); g != nil && d.Quiet >= 0 {
		d.Quiet = max(min(d.Patience(), g.For/quietShare), 1)
	}
	return d
}
