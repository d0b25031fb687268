package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// serve puts a table in force. Everything that can fail comes first, so on error
// nothing has changed. A mend is in force also where it cannot be saved: no disk
// that is full may keep requests going to addresses that are another's by now.
func (p *Proxy) serve(life context.Context, t steady.Table, mend bool) error {
	p.serving.Lock()
	defer p.serving.Unlock()
	if err := check(t); err != nil {
		return err
	}
	if now := p.inForce().Version; t.Version <= now {
		return steady.ErrUsage.With(
			fmt.Sprintf("table version %d is not newer than version %d in force", t.Version, now), "")
	}
	b := &binding{proxy: p, life: life, fresh: map[key]*door{}, udp: map[key]*net.UDPConn{}}
	if err := b.bind(t.Listeners); err != nil {
		b.undo()
		return err
	}
	if err := b.bindUDP(t.UDP); err != nil {
		b.undo()
		return err
	}
	now := record{Table: t, Bound: b.ports, BoundUDP: b.udpPorts, Spoken: p.counts.spoken(t)}
	err := save(p.opts.TableFile, now)
	if err != nil && !mend {
		b.undo()
		return steady.ErrStore.With(err.Error(), "free space in the directory of the table file")
	}
	p.unsaved, p.saved = nil, now
	if err != nil {
		p.unsaved = &now
		p.log.Warn("the table in force is not in its file; it is written when there is room", "version", t.Version, "err", err)
	}
	p.force(life, t, b.fresh, b.udp)
	return nil
}

// saveAgain writes the table in force to its file where that failed before.
func (p *Proxy) saveAgain() {
	p.serving.Lock()
	defer p.serving.Unlock()
	if p.unsaved == nil || save(p.opts.TableFile, *p.unsaved) != nil {
		return
	}
	p.log.Info("the table in force is in its file again", "version", p.unsaved.Table.Version)
	p.unsaved = nil
}

func (p *Proxy) inForce() steady.Table {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table
}

// force makes the table the one in force. It cannot fail. The pools that it lists come
// first, then the listeners, and last the pools that it does not list any more: so
// whoever finds that a pool has left finds, at its listener, the pool that follows.
// From the moment it returns no claim gives what the table does not list.
func (p *Proxy) force(life context.Context, t steady.Table, fresh map[key]*door, udp map[key]*net.UDPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shift(t.Pools)
	p.maintain(t)
	p.certs.Put(certificates(t)) // before any listener shows them
	keep := make(map[key]bool, len(t.Listeners))
	for i, k := range keys(t.Listeners) {
		keep[k] = true
		l := t.Listeners[i]
		d := p.doors[k]
		if d == nil {
			d = fresh[k]
		}
		lent := p.lent[listenerName(l)]
		if d == nil && lent != nil {
			d = &door{ln: lent}
		}
		if d == nil { // missing since the table was loaded
			continue
		}
		d.behind.Store(p.behind(l))
		p.quicken(life, d, l)
		if p.doors[k] == nil {
			p.open(life, k, d)
		} else if lent != nil && lent != d.ln {
			p.move(life, d, lent)
		}
	}
	for k, d := range p.doors {
		if !keep[k] {
			p.shut(k, d)
		}
	}
	for k := range p.missing {
		if !keep[k] {
			delete(p.missing, k)
		}
	}
	p.forceUDP(life, t.UDP, udp)
	p.leave(t.Pools)
	p.table = t
}

// open begins to accept.
func (p *Proxy) open(life context.Context, k key, d *door) {
	p.doors[k] = d
	delete(p.missing, k)
	ln := d.ln
	p.work.Go(func() { p.accept(life, d, ln) })
}

// move has a door accept from another socket than before.
func (p *Proxy) move(life context.Context, d *door, to *socket) {
	d.ln.leave()
	d.ln = to
	p.work.Go(func() { p.accept(life, d, to) })
}

// shut closes a door that no table lists any more.
func (p *Proxy) shut(k key, d *door) {
	d.leave()
	p.hushDoor(d)
	delete(p.doors, k)
	if name := steady.HolderListener(k.holder); p.lent[name] == d.ln {
		delete(p.lent, name)
	}
}

// shift gives each pool its upstreams, each under its own lock.
func (p *Proxy) shift(to []steady.Pool) {
	for _, s := range to {
		g := p.pools[s.Name]
		if g == nil {
			g = newGroup(s.Name, &p.counts)
			p.pools[s.Name] = g
		}
		g.shift(s)
	}
}

// leave leaves the pools that a table does not list without upstreams.
func (p *Proxy) leave(listed []steady.Pool) {
	p.leaving = slices.DeleteFunc(p.leaving, group.gone)
	names := make(map[string]bool, len(listed))
	for _, s := range listed {
		names[s.Name] = true
	}
	for name, g := range p.pools {
		if names[name] {
			continue
		}
		if pool, single := g.(*pool); single {
			pool.left.Store(true)
			pool.gate.anew(pool)
		}
		g.shift(steady.Pool{})
		delete(p.pools, name)
		p.leaving = append(p.leaving, g)
	}
}

// binding opens the listeners of a table that is to come.
type binding struct {
	proxy *Proxy
	life  context.Context // of the accept loops
	fresh map[key]*door
	ports []uint16
	moved []*door // closed to make room for a fresh one; opened again by undo

	udp      map[key]*net.UDPConn
	udpPorts []uint16
}

// bind opens what the table adds. The ports of all are in b.ports afterwards.
func (b *binding) bind(listeners []steady.Listener) error {
	p := b.proxy
	ks := keys(listeners)
	for i, k := range ks {
		p.mu.Lock()
		d, lent := p.doors[k], p.lent[listenerName(listeners[i])]
		p.mu.Unlock()
		if k.holder != "" {
			if lent == nil {
				return steady.ErrUsage.With("the listener of holder "+k.holder+" has not been lent to the proxy", "")
			}
			b.ports = append(b.ports, listen.Port(lent))
			continue
		}
		if d == nil {
			ln, err := b.listen(listeners[i].Addr(), k, ks)
			if err != nil {
				return bindError(err)
			}
			d = &door{ln: &socket{TCPListener: ln}}
			b.fresh[k] = d
		}
		b.ports = append(b.ports, d.port())
	}
	return nil
}

// listen opens one address. Where a listener of ours that the table drops stands
// in the way (":80" becomes "127.0.0.1:80"), that goes first: a moment in which
// the port answers nobody, as the kernel allows no overlap.
func (b *binding) listen(addr string, k key, ks []key) (*net.TCPListener, error) {
	ln, err := listen.TCP(b.life, addr)
	var taken *listen.TakenError
	if err == nil || !errors.As(err, &taken) || taken.Holder.PID != os.Getpid() {
		return ln, err
	}
	b.makeRoom(k, ks)
	return b.listenSoon(addr)
}

// makeRoom closes the listeners on that port which the table drops.
func (b *binding) makeRoom(k key, ks []key) {
	p := b.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, d := range p.doors {
		if at.port == k.port && !slices.Contains(ks, at) {
			delete(p.doors, at)
			d.gone.Store(true)
			p.hushDoor(d)
			d.ln.left.Store(true)
			b.moved = append(b.moved, d)
			d.ln.end()
		}
	}
}

// freeWithin is how long a listener that was closed may keep its port: until the
// accept under way has let go of it.
const freeWithin = time.Second

// listenSoon opens an address that one of our own listeners is just leaving.
func (b *binding) listenSoon(addr string) (*net.TCPListener, error) {
	end := time.Now().Add(freeWithin)
	for {
		ln, err := listen.TCP(b.life, addr)
		var taken *listen.TakenError
		if !errors.As(err, &taken) || time.Now().After(end) {
			return ln, err
		}
		if !wait(b.life, time.Millisecond) {
			return nil, err
		}
	}
}

// undo leaves the listeners as they were.
func (b *binding) undo() {
	for _, d := range b.fresh {
		d.ln.Close()
	}
	for _, c := range b.udp {
		c.Close()
	}
	p := b.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, old := range b.moved {
		addr := old.ln.Addr().(*net.TCPAddr)
		p.reopen(b.life, old, addr)
	}
}

func (p *Proxy) reopen(life context.Context, old *door, addr *net.TCPAddr) {
	for i, k := range keys(p.table.Listeners) {
		l := p.table.Listeners[i]
		if p.doors[k] != nil || l.Port != uint16(addr.Port) || k.holder != "" {
			continue
		}
		ln, err := listen.TCP(life, l.Addr())
		if err != nil {
			p.missing[k] = err
			continue
		}
		d := &door{ln: &socket{TCPListener: ln}}
		d.behind.Store(old.behind.Load())
		p.open(life, k, d)
	}
}

// bindError says it to a person.
func bindError(err error) error {
	var taken *listen.TakenError
	if !errors.As(err, &taken) {
		return err
	}
	hint := "stop what listens there, or publish another port"
	if taken.Holder.Docker != "" {
		hint = "docker ps shows which container publishes the port"
	}
	_, port, _ := net.SplitHostPort(taken.Addr)
	if taken.UDP {
		port += "/udp"
	}
	return steady.ErrPortTaken.With(fmt.Sprintf("port %s: %s", port, taken), hint)
}

// free says whether the listeners could be opened now, or are ours already.
func (p *Proxy) free(ctx context.Context, listeners []steady.Listener) error {
	for _, l := range listeners {
		if l.Protocol == steady.UDP {
			if err := p.freeUDP(ctx, l); err != nil {
				return err
			}
			continue
		}
		if l.Port == 0 || p.listensOn(l) {
			continue
		}
		if err := listen.Free(ctx, l.Addr()); err != nil {
			var taken *listen.TakenError
			if errors.As(err, &taken) && taken.Holder.PID == os.Getpid() && !p.elsewhere(l) {
				continue // ours at another host address: it makes room
			}
			return bindError(err)
		}
	}
	return nil
}

func (p *Proxy) listensOn(l steady.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doors[key{host: l.Host, port: l.Port}] != nil
}

// elsewhere says whether a listener of ours on that port belongs to another pool.
func (p *Proxy) elsewhere(l steady.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, d := range p.doors {
		if k.holder == "" && k.port == l.Port && !d.behind.Load().serves(l) {
			return true
		}
	}
	return false
}
