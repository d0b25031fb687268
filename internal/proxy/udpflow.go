package proxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
)

// How long a relayed flow lives without a datagram: as long as the kernel keeps one
// (nf_conntrack_udp_timeout, nf_conntrack_udp_timeout_stream).
const (
	flowIdle         = 30 * time.Second
	flowIdleAnswered = 120 * time.Second
	// flowQuiet is for how long a flow must have been silent to be led elsewhere without
	// a loss: whatever was asked on it has been answered, or will not be.
	flowQuiet = 2 * time.Second
	// flowGrace is how long answers that may be under way have at the least.
	flowGrace = 100 * time.Millisecond
	// flowLook is how often a drain looks.
	flowLook = 20 * time.Millisecond
)

// udpFlow is the datagrams between one sender and one replica.
type udpFlow struct {
	door *datagrams
	sender
	upstream *upstream
	conn     *net.UDPConn // connected to the replica
	last     atomic.Int64 // when a datagram was passed on, either way; Unix nanoseconds
	began    time.Time
	answered atomic.Bool
	asked    atomic.Bool // the last datagram was the sender's
}

func (f *udpFlow) send(b []byte) {
	f.last.Store(time.Now().UnixNano())
	f.asked.Store(true)
	_, _ = f.conn.Write(b) // a datagram that cannot be sent is lost, as it may always be
}

func (f *udpFlow) silent() time.Duration { return time.Since(time.Unix(0, f.last.Load())) }

// answers passes on what the replica sends, until the flow is silent for long or ends.
func (f *udpFlow) answers() {
	defer f.end()
	raw, err := f.conn.SyscallConn()
	if err != nil {
		return
	}
	from := source(f.to)
	client := net.UDPAddrFromAddrPort(f.from)
	for {
		limit := flowIdle
		if f.answered.Load() && time.Since(f.began)-f.silent() > flowQuiet {
			limit = flowIdleAnswered
		}
		if f.silent() >= limit {
			return
		}
		_ = f.conn.SetReadDeadline(time.Now().Add(limit - f.silent()))
		g, err := receiveDatagram(raw, false)
		if err == nil {
			f.heard()
			f.last.Store(time.Now().UnixNano())
			f.asked.Store(false)
			_, _, _ = f.door.conn.WriteMsgUDP(g.bytes, from, client)
			g.free()
			continue
		}
		if !f.goesOn() {
			return
		}
	}
}

// heard notes an answer.
func (f *udpFlow) heard() {
	if f.answered.Swap(true) {
		return
	}
	f.door.mu.Lock()
	defer f.door.mu.Unlock()
	f.door.answers = true
}

// goesOn says whether the flow is still its sender's: a read that failed may be a
// deadline, or the replica's port that was closed for a moment.
func (f *udpFlow) goesOn() bool {
	f.door.mu.Lock()
	defer f.door.mu.Unlock()
	return f.door.flows[f.sender] == f && !f.door.gone.Load()
}

func (f *udpFlow) end() {
	f.door.mu.Lock()
	defer f.door.mu.Unlock()
	f.door.drop(f)
	_ = f.conn.Close()
}

// bySource chooses the upstream that a sender's new flows go to: always the same while
// the upstreams are. A release on trial gets none.
func (p *pool) bySource(from netip.Addr) *upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	split := p.split.Load()
	var fit []*upstream
	for _, u := range p.routed {
		if u.known() && (split == nil || u.Release != split.Release) {
			fit = append(fit, u)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	const prime = 16777619 // of FNV-1a
	hash := uint32(2166136261)
	for _, b := range from.Unmap().AsSlice() {
		hash = (hash ^ uint32(b)) * prime
	}
	return fit[hash%uint32(len(fit))]
}

// drainFlows ends the relayed flows to the containers named by ids: each once it is
// quiet. When clocks.Streams runs out those that are busy are led elsewhere, each when
// its last datagram has been answered, or after clocks.Patience. Below 0 the clock never
// runs out.
func (p *Proxy) drainFlows(ctx context.Context, ids []string, clocks steady.Drain) steady.Drained {
	var sum steady.Drained
	began := time.Now()
	for {
		since, left := time.Since(began), 0
		over := clocks.Streams >= 0 && since >= clocks.Streams
		late := over && since >= clocks.Streams+max(clocks.Patience(), flowGrace)
		for _, d := range p.udpDoors() {
			ended, busy, moved := d.endFlows(ids, over, late)
			sum.Flows += ended + moved
			sum.FlowsMoved += moved
			left += busy
		}
		if left == 0 || !wait(ctx, flowLook) {
			return sum
		}
	}
}

// endFlows ends the flows to the containers that are quiet; over: those too that were
// answered last; late: all.
func (d *datagrams) endFlows(ids []string, over, late bool) (ended, busy, moved int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.flows {
		switch {
		case !slices.Contains(ids, f.upstream.ID):
		case f.silent() >= flowQuiet:
			ended++
			d.drop(f)
		case late, over && (!f.asked.Load() || !d.answers && f.silent() >= flowGrace):
			moved++
			d.drop(f)
		default:
			busy++
		}
	}
	return ended, busy, moved
}

func (p *Proxy) udpDoors() []*datagrams {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*datagrams, 0, len(p.udp))
	for _, d := range p.udp {
		out = append(out, d)
	}
	return out
}
