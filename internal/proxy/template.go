package proxy

import (
	"container/list"
	"net"
	"strconv"
	"strings"
	"sync"

	"gesalpai.ch/steady"
)

// spareMost is how many ports of a template are remembered that nobody uses right
// now: with what they have learnt and their idle connections.
const spareMost = 64

// group is what a table calls a pool: that of one port, or a template for any.
type group interface {
	// shift puts other upstreams in force. Once it has returned, no pool of the
	// group gives any but those.
	shift(to steady.Pool)
	// gone says whether nothing of it is in flight and no table lists it.
	gone() bool
	// each lists the pools that there are of it.
	each() []*pool
}

// template is the upstreams of a service within one network, for whatever port a
// client means. Each port has a pool of its own, made when somebody comes for it
// and forgotten when nobody does.
//
// A pool is taken, used and released. One that is taken is never forgotten, so
// whatever is claimed is claimed where shift and drain look.
type template struct {
	name   string
	counts *counters
	gate   *gate // of the service

	mu    sync.Mutex
	now   steady.Pool // in force; its addresses have no port
	ports map[uint16]*pool
	spare list.List // pools that nobody uses, the longest so in front
}

func newTemplate(name string, counts *counters) *template {
	return &template{name: name, counts: counts, gate: counts.gate(serviceOf(name)), ports: map[uint16]*pool{}}
}

// newGroup makes the pool or the template of that name; see steady.InnerPoolName.
func newGroup(name string, counts *counters) group {
	if inner(name) {
		return newTemplate(name, counts)
	}
	return newPool(name, counts)
}

func inner(pool string) bool { return strings.Contains(pool, "@") }

// take gives the pool of a port, to be released.
func (t *template) take(port uint16) *pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.ports[port]
	if p == nil {
		p = newPool(t.name+":"+strconv.Itoa(int(port)), t.counts)
		p.template, p.port = t, port
		p.shift(ported(t.now, port))
		t.ports[port] = p
	}
	if p.spare != nil {
		t.spare.Remove(p.spare)
		p.spare = nil
	}
	p.users++
	return p
}

// release gives back a pool that was taken.
func (p *pool) release() {
	if p.template == nil {
		return
	}
	if dropped := p.template.put(p); dropped != nil {
		dropped.closeIdle()
	}
}

// put notes that one less uses p, and forgets one nobody uses where there are too
// many. A port at which nobody has ever answered is forgotten with its last user,
// so that a port scan drives nothing out.
func (t *template) put(p *pool) (dropped *pool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.users--
	switch {
	case p.users > 0:
		return nil
	case !p.reached.Load():
		dropped = p
	default:
		p.spare = t.spare.PushBack(p)
		if t.spare.Len() <= spareMost {
			return nil
		}
		dropped = t.spare.Remove(t.spare.Front()).(*pool)
	}
	delete(t.ports, dropped.port)
	dropped.gate.open(dropped)
	dropped.gate.open(strangers{dropped})
	return dropped
}

// shift implements group. A pool that is made meanwhile is made before, and
// shifted here, or after, and of the new upstreams. The template shuts the gate
// itself too, as its pools come and go.
func (t *template) shift(to steady.Pool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = to
	if to.Hold != nil {
		t.gate.shut(t, *to.Hold)
	}
	for port, p := range t.ports {
		p.shift(ported(to, port))
	}
	if to.Hold == nil {
		t.gate.open(t)
	}
}

func (t *template) each() []*pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*pool, 0, len(t.ports))
	for _, p := range t.ports {
		out = append(out, p)
	}
	return out
}

func (t *template) gone() bool {
	for _, p := range t.each() {
		if !p.gone() {
			return false
		}
	}
	return true
}

// ported is what a table says of a template, for one port.
func ported(to steady.Pool, port uint16) steady.Pool {
	to.Upstreams, to.Elders = at(to.Upstreams, port), at(to.Elders, port)
	return to
}

// at gives the upstreams the port that their addresses lack.
func at(us []steady.Upstream, port uint16) []steady.Upstream {
	out := make([]steady.Upstream, len(us))
	for i, u := range us {
		u.Addr = net.JoinHostPort(u.Addr, strconv.Itoa(int(port)))
		out[i] = u
	}
	return out
}
