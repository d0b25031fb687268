package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// bindUDP opens the UDP addresses that the table adds. The ports of all are in
// b.udpPorts afterwards.
func (b *binding) bindUDP(listeners []steady.Listener) error {
	p := b.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	ks := keys(listeners)
	for i, k := range ks {
		if d := p.udp[k]; d != nil {
			b.udpPorts = append(b.udpPorts, listen.UDPPort(d.conn))
			continue
		}
		var dropped []*net.UDPConn
		for at, d := range p.udp {
			if at.port == k.port && !slices.Contains(ks, at) {
				dropped = append(dropped, d.conn)
			}
		}
		conn, err := openUDP(b.life, listeners[i].Addr(), dropped)
		if err != nil {
			return bindError(err)
		}
		b.udp[k] = conn
		b.udpPorts = append(b.udpPorts, listen.UDPPort(conn))
	}
	return nil
}

// forceUDP puts the table's UDP addresses in force. The pools are there already. p.mu
// is held.
func (p *Proxy) forceUDP(life context.Context, listeners []steady.Listener, fresh map[key]*net.UDPConn) {
	keep := make(map[key]bool, len(listeners))
	for i, k := range keys(listeners) {
		keep[k] = true
		pool := p.pools[listeners[i].Pool].(*pool) // as check has seen
		if d := p.udp[k]; d != nil {
			d.pool.Store(pool)
		} else if conn := fresh[k]; conn != nil {
			p.relay(life, k, conn, pool)
		}
	}
	for k, d := range p.udp {
		if !keep[k] {
			d.close()
			delete(p.udp, k)
		}
	}
	for k := range p.udpMissing {
		if !keep[k] {
			delete(p.udpMissing, k)
		}
	}
}

// relay begins to relay what comes to a socket. p.mu is held.
func (p *Proxy) relay(life context.Context, k key, conn *net.UDPConn, to *pool) {
	d := &datagrams{proxy: p, conn: conn, flows: map[sender]*udpFlow{}}
	d.pool.Store(to)
	p.udp[k] = d
	delete(p.udpMissing, k)
	p.work.Go(func() { d.serve(life) })
}

// resumeUDP has the UDP sockets of the table file's table, as far as they can be had.
func (p *Proxy) resumeUDP(life context.Context, r record, inherited inheritance) (fresh map[key]*net.UDPConn, missing map[key]error) {
	fresh, missing = map[key]*net.UDPConn{}, map[key]error{}
	for i, k := range keys(r.Table.UDP) {
		l := r.Table.UDP[i]
		if l.Port == 0 && i < len(r.BoundUDP) {
			l.Port = r.BoundUDP[i]
		}
		conn, err := inherited.udp[listenerName(l)], error(nil)
		if delete(inherited.udp, listenerName(l)); conn == nil {
			conn, err = listen.UDP(life, l.Addr())
		}
		if err != nil && r.Table.UDP[i].Port == 0 {
			conn, err = listen.UDP(life, r.Table.UDP[i].Addr())
		}
		if err != nil {
			p.log.Error("listen", "addr", listenerName(l), "err", err)
			missing[k] = err
			continue
		}
		fresh[k] = conn
	}
	return fresh, missing
}

// rebindUDP tries again what could not be bound when the table was loaded. p.mu is held.
func (p *Proxy) rebindUDP(life context.Context) {
	if len(p.udpMissing) == 0 {
		return
	}
	for i, k := range keys(p.table.UDP) {
		if p.udpMissing[k] == nil {
			continue
		}
		l := p.table.UDP[i]
		conn, err := listen.UDP(life, l.Addr())
		if err != nil {
			p.udpMissing[k] = err
			continue
		}
		p.relay(life, k, conn, p.pools[l.Pool].(*pool))
		p.log.Info("listens at last", "addr", listenerName(l))
	}
}

// addUDP keeps an inherited UDP socket.
func (in inheritance) addUDP(h listen.Handle, log *slog.Logger) {
	defer h.File.Close()
	conn, err := listen.UDPFromFile(h.File)
	if err != nil {
		log.Warn("inherited socket cannot be used", "name", h.Name, "err", err)
		return
	}
	if before := in.udp[h.Name]; before != nil {
		_ = before.Close()
	}
	in.udp[h.Name] = conn
}

// lendUDP takes a UDP socket that the table in force has missed; another is let go.
func (p *Proxy) lendUDP(life context.Context, h listen.Handle) error {
	defer h.File.Close()
	conn, err := listen.UDPFromFile(h.File)
	if err != nil {
		return steady.ErrUsage.With(h.Name+" is no UDP socket: "+err.Error(), "")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, k := range keys(p.table.UDP) {
		l := p.table.UDP[i]
		if p.udpMissing[k] != nil && listenerName(l) == h.Name {
			p.relay(life, k, conn, p.pools[l.Pool].(*pool))
			p.log.Info("listens at last", "addr", h.Name)
			return nil
		}
	}
	return conn.Close()
}

// udpCopies adds descriptors of the UDP sockets in force. p.mu is held.
func (p *Proxy) udpCopies(out []listen.Handle) ([]listen.Handle, error) {
	for i, k := range keys(p.table.UDP) {
		d, l := p.udp[k], p.table.UDP[i]
		if d == nil {
			continue
		}
		l.Port = listen.UDPPort(d.conn)
		h, err := listen.Lend(listenerName(l), d.conn)
		if err != nil {
			return out, err
		}
		out = append(out, h)
	}
	return out, nil
}

// udpStatus is the state of the table's UDP addresses. p.mu is held.
func (p *Proxy) udpStatus() []ListenerStatus {
	var out []ListenerStatus
	for i, k := range keys(p.table.UDP) {
		l := ListenerStatus{Listener: p.table.UDP[i]}
		if d := p.udp[k]; d != nil {
			l.Bound = listen.UDPPort(d.conn)
		} else if err := p.udpMissing[k]; err != nil {
			l.Error = err.Error()
		}
		out = append(out, l)
	}
	return out
}

// freeUDP says whether a UDP address could be opened now, or is ours already.
func (p *Proxy) freeUDP(ctx context.Context, l steady.Listener) error {
	p.mu.Lock()
	ours := p.udp[key{host: l.Host, port: l.Port}] != nil
	p.mu.Unlock()
	if l.Port == 0 || ours {
		return nil
	}
	err := listen.FreeUDP(ctx, l.Addr())
	var taken *listen.TakenError
	if errors.As(err, &taken) && taken.Holder.PID == os.Getpid() && p.makesRoomUDP(l) {
		return nil
	}
	if err != nil {
		return bindError(err)
	}
	return nil
}

// makesRoomUDP says whether the sockets of ours on that port all belong to the pool
// that is to have it: they go when the table does that is to come.
func (p *Proxy) makesRoomUDP(l steady.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ours := false
	for k, d := range p.udp {
		if k.port == l.Port && d.pool.Load().name != l.Pool {
			return false
		}
		ours = ours || k.port == l.Port
	}
	return ours
}
