package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gesalpai.ch/steady/internal/listen"
)

const (
	// mostFlows bounds the relayed flows of all UDP listeners: each has a descriptor.
	mostFlows = 4096
	// datagramMost is as long as a datagram can be.
	datagramMost = 64 << 10
	// heldEvery is how often those that wait at a shut gate look whether it is open.
	heldEvery = 5 * time.Millisecond
	// heldMost and heldBytes bound what waits at one port; what comes beyond is dropped.
	heldMost  = 2048
	heldBytes = 4 << 20
	// heldBatch is how many of them are sent on at first when the gate opens, and by how
	// many more each heldEvery: all at once would be more than the replica's socket has
	// room for, which is some 270 small ones (net.core.rmem_default).
	heldBatch = 32
)

// datagrams is a UDP address that we relay: for what the kernel does not lead to a
// replica itself.
type datagrams struct {
	proxy *Proxy
	conn  *net.UDPConn
	pool  atomic.Pointer[pool]
	gone  atomic.Bool
	held  backlog // of the goroutine that serves

	mu      sync.Mutex
	flows   map[sender]*udpFlow
	answers bool      // something has been answered: not all protocols do
	swept   time.Time // when quiet flows were last ended for want of room
}

// sender tells flows apart: who sends, and to which of this machine's addresses.
type sender struct {
	from netip.AddrPort
	to   netip.Addr // invalid: not told
}

// udpBuffers hold one datagram each.
var udpBuffers = sync.Pool{New: func() any { b := make([]byte, datagramMost); return &b }}

// serve relays until the socket is closed.
func (d *datagrams) serve(life context.Context) {
	defer d.conn.Close()
	defer d.endAll()
	raw, err := d.conn.SyscallConn()
	if err != nil {
		return
	}
	for waited := false; life.Err() == nil; {
		if waits := len(d.held.all) > 0; waits || waited {
			look := time.Time{}
			if waits {
				look = time.Now().Add(heldEvery)
			}
			_, waited = d.conn.SetReadDeadline(look), waits
		}
		if d.gone.Load() { // after the deadline, which close sets too
			return
		}
		g, err := receiveDatagram(raw, true)
		d.release()
		switch {
		case err == nil:
			d.relay(g)
			g.free()
		case errors.Is(err, net.ErrClosed):
			return
		}
	}
}

// relay sends a datagram to the replica that has its flow, or to one that gets it now.
// While the gate is shut it waits. Where nobody is there it is lost, as at a closed port.
func (d *datagrams) relay(g datagram) {
	if len(d.held.all) > 0 { // none overtakes those that came before
		d.held.add(g)
	} else if f := d.flow(g.sender); f != nil {
		f.send(g.bytes)
	} else if d.pool.Load().gate.busy.Load() {
		d.held.add(g)
	}
}

// release relays what has waited, in the order in which it came and a batch at a time,
// once the gate lets it.
func (d *datagrams) release() {
	if len(d.held.all) == 0 || time.Since(d.held.sent) < heldEvery {
		return
	}
	for range d.held.batch + heldBatch {
		if len(d.held.all) == 0 {
			break
		}
		g := d.held.all[0]
		f := d.flow(g.sender)
		if f == nil && d.pool.Load().gate.busy.Load() {
			return
		}
		if f != nil {
			f.send(g.bytes)
		}
		d.held.all, d.held.bytes = d.held.all[1:], d.held.bytes-len(g.bytes)
	}
	d.held.batch, d.held.sent = d.held.batch+heldBatch, time.Now()
	if len(d.held.all) == 0 {
		d.held = backlog{}
	}
}

// backlog is the datagrams that wait at a shut gate.
type backlog struct {
	all   []datagram
	bytes int
	batch int       // how many were sent on last
	sent  time.Time // when; zero before the first
}

// add keeps a copy where there is room.
func (h *backlog) add(g datagram) {
	if len(h.all) < heldMost && h.bytes+len(g.bytes) <= heldBytes {
		h.all = append(h.all, datagram{sender: g.sender, bytes: slices.Clone(g.bytes)})
		h.bytes += len(g.bytes)
	}
}

// flow finds the sender's flow, or begins it; nil where no replica takes it.
func (d *datagrams) flow(s sender) *udpFlow {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.flows[s]; f != nil {
		if f.upstream.known() {
			return f
		}
		d.drop(f)
	}
	u := d.pool.Load().bySource(s.from.Addr())
	if u == nil || !d.room() {
		return nil
	}
	conn, err := net.Dial("udp", u.Addr)
	if err == nil && u.who != nil {
		err = u.who.has(u.host)
	}
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return nil
	}
	f := &udpFlow{door: d, sender: s, upstream: u, conn: conn.(*net.UDPConn), began: time.Now()}
	f.last.Store(time.Now().UnixNano())
	d.flows[s] = f
	d.proxy.udpFlows.Add(1)
	d.proxy.work.Go(f.answers)
	return f
}

// sweepEvery is how often quiet flows are looked for at most.
const sweepEvery = 100 * time.Millisecond

// room says whether another flow may begin. Where there are too many, the quiet ones of
// this address end first. d.mu is held.
func (d *datagrams) room() bool {
	if d.proxy.udpFlows.Load() < mostFlows {
		return true
	}
	if time.Since(d.swept) < sweepEvery {
		return false
	}
	d.swept = time.Now()
	for _, f := range d.flows {
		if f.silent() >= flowQuiet {
			d.drop(f)
		}
	}
	return d.proxy.udpFlows.Load() < mostFlows
}

// drop forgets a flow; its sender's next datagram begins another. d.mu is held.
func (d *datagrams) drop(f *udpFlow) {
	if d.flows[f.sender] == f {
		delete(d.flows, f.sender)
		d.proxy.udpFlows.Add(-1)
		_ = f.conn.Close()
	}
}

func (d *datagrams) endAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.flows {
		d.drop(f)
	}
}

// close ends the relay. Where somebody has a copy of the socket, what comes waits there.
func (d *datagrams) close() {
	d.gone.Store(true)
	_ = d.conn.SetReadDeadline(time.Now())
}

// datagram is what was received. free gives its bytes back.
type datagram struct {
	sender
	bytes  []byte
	buffer *[]byte
}

func (g datagram) free() { udpBuffers.Put(g.buffer) }

// receiveDatagram waits for a datagram. It takes memory when there is one only: a range
// of ports has a socket for each. addressed: it is told who sent it, and where to.
func receiveDatagram(raw syscall.RawConn, addressed bool) (datagram, error) {
	var g datagram
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		buffer := udpBuffers.Get().(*[]byte)
		var oob [64]byte
		room := oob[:0]
		if addressed {
			room = oob[:]
		}
		n, oobn, _, from, err := unix.Recvmsg(int(fd), *buffer, room, 0)
		if err == unix.EAGAIN || err == unix.EINTR {
			udpBuffers.Put(buffer)
			return false
		}
		if failed = err; err != nil {
			udpBuffers.Put(buffer)
			return true
		}
		g = datagram{bytes: (*buffer)[:n], buffer: buffer}
		if addressed {
			g.sender = sender{from: senderOf(from), to: destination(oob[:oobn])}
		}
		return true
	})
	return g, errors.Join(err, failed)
}

func senderOf(s unix.Sockaddr) netip.AddrPort {
	switch a := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr)
		if a.ZoneId != 0 {
			if link, err := net.InterfaceByIndex(int(a.ZoneId)); err == nil {
				ip = ip.WithZone(link.Name)
			}
		}
		return netip.AddrPortFrom(ip, uint16(a.Port))
	}
	return netip.AddrPort{}
}

// destination is the address that a datagram was sent to, from its control messages.
func destination(oob []byte) netip.Addr {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return netip.Addr{}
	}
	for _, m := range msgs {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(m.Data[4:8])) // ipi_spec_dst: ours, also of a broadcast
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			return netip.AddrFrom16([16]byte(m.Data[:16]))
		}
	}
	return netip.Addr{}
}

// source is the control message that has an answer sent from an address; none where it
// is not known or no single machine's.
func source(a netip.Addr) []byte {
	switch {
	case !a.IsValid() || a.IsMulticast():
		return nil
	case a.Is4():
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: a.As4()})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: a.As16()})
}

// openUDP opens a UDP address. dropped are sockets of ours that the table to come does
// not list and that are in its way.
func openUDP(ctx context.Context, addr string, dropped []*net.UDPConn) (*net.UDPConn, error) {
	conn, err := listen.UDP(ctx, addr)
	var taken *listen.TakenError
	if errors.As(err, &taken) && len(dropped) > 0 {
		return listen.UDPBeside(ctx, addr, dropped)
	}
	return conn, err
}
