package proxy

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/process"
)

// Why a connection is not used although it was made: the address may be another
// container's by now.
var (
	errProcessEnded = errors.New("the process that had the address has ended")
	errMoved        = errors.New("the process does not have the address any more")
)

// identity says whether the process that upstreams name is known to live. It is
// shared by all upstreams of that process.
type identity struct {
	handle  *process.Handle // nil: it was not there when it was looked for
	network bool            // the process's network namespace shows its addresses
	ended   atomic.Bool
}

// has says, after a connection to addr was made, whether it is one to the process:
// that lives and has the address now, so it did when the connection was made.
func (i *identity) has(addr netip.Addr) error {
	switch {
	case i.ended.Load():
		return errProcessEnded
	case i.network && i.handle.Has(addr):
		return nil
	case !i.handle.Alive():
		i.ended.Store(true)
		return errProcessEnded
	case i.network:
		return errMoved
	}
	return nil
}

// identities are those of all upstreams, by process. Each is watched until its
// process ends, however many tables list it meanwhile.
type identities struct {
	ended func() // called when a process has; nil: nobody wants to know
	blind bool   // no process is visible to us

	mu    sync.Mutex
	all   map[steady.Process]*identity
	over  bool
	waits sync.WaitGroup
}

// of gives the identity of a process; nil where a table names none: then whoever
// put it in force has just looked, and says when that changes.
func (s *identities) of(p steady.Process) *identity {
	if p == (steady.Process{}) || s.blind && p != unproven {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.all[p]; i != nil {
		return i
	}
	i := &identity{network: p.Network}
	h, err := process.Open(p)
	if err != nil || s.over {
		i.ended.Store(true)
		if err == nil {
			h.Close()
		}
		return i
	}
	i.handle = h
	if s.all == nil {
		s.all = map[steady.Process]*identity{}
	}
	s.all[p] = i
	s.waits.Go(func() { s.watch(p, i) })
	return i
}

// watch notices the end of a process before anybody dials it again.
func (s *identities) watch(p steady.Process, i *identity) {
	i.handle.Wait()
	i.ended.Store(true)
	s.mu.Lock()
	over := s.over
	if !over {
		delete(s.all, p)
		i.handle.Close()
	}
	s.mu.Unlock()
	if s.ended != nil && !over {
		s.ended()
	}
}

// close ends the watches.
func (s *identities) close() {
	s.mu.Lock()
	s.over = true
	for _, i := range s.all {
		i.handle.Close()
	}
	s.mu.Unlock()
	s.waits.Wait()
}

// unproven is a process that nobody is.
var unproven = steady.Process{PID: -1}

// disown leaves nothing in force of which we cannot tell whether it is the process
// that the table means: whoever looked when the table was made may have done so long
// ago. all: we can tell of none.
func disown(t *steady.Table, all bool) {
	for i := range t.Pools {
		for _, us := range [][]steady.Upstream{t.Pools[i].Upstreams, t.Pools[i].Elders} {
			for j := range us {
				if all || us[j].Process == (steady.Process{}) {
					us[j].Process = unproven
				}
			}
		}
	}
}

// strangers shuts a service's gate while no upstream of a pool is known to be the
// container that the table means. It opens with the next table that lists one, or
// none, and by itself when nobody may be kept waiting any longer.
type strangers struct{ *pool }

// unknownHold bounds the wait for a table that says where the containers are now:
// as long as a request is held otherwise.
var unknownHold = steady.Hold{
	Most: steady.DefaultHoldRequests, Bytes: steady.DefaultHoldBytes, For: steady.DefaultHoldFor, Lease: steady.DefaultHoldFor,
}

// known says whether u is known to be the container that the table means.
func (u *upstream) known() bool { return u.who == nil || !u.who.ended.Load() }

// meet shuts or opens the gate by what is known of the upstreams in force. p.mu is
// held.
func (p *pool) meet() {
	for _, u := range p.routed {
		if u.known() {
			p.gate.open(strangers{p})
			return
		}
	}
	if len(p.routed) == 0 {
		p.gate.open(strangers{p})
		return
	}
	p.gate.shut(strangers{p}, unknownHold)
}

// meetAll looks at all pools, as a process has ended.
func (p *Proxy) meetAll() {
	for _, pool := range p.allPools() {
		pool.mu.Lock()
		pool.meet()
		pool.mu.Unlock()
	}
}
