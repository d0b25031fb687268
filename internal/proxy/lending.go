package proxy

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// What a connection to the socket for descriptors begins with: one byte.
const (
	askLend   = 'L' // then a handle; answered in JSON, null or a steady.Error
	askCopies = 'C' // answered with a count, 32 bits in network order, and as many handles
)

// handoverTime bounds how long such a connection may take.
const handoverTime = 5 * time.Second

// lending serves the socket for descriptors until it is closed.
func (p *Proxy) lending(life context.Context, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.log.Warn("accept at the socket for descriptors", "err", err)
			if !wait(life, 50*time.Millisecond) {
				return
			}
			continue
		}
		p.work.Go(func() { p.handOver(life, c.(*net.UnixConn)) })
	}
}

func (p *Proxy) handOver(life context.Context, c *net.UnixConn) {
	defer c.Close()
	defer context.AfterFunc(life, func() { c.Close() })()
	_ = c.SetDeadline(time.Now().Add(handoverTime))
	var ask [1]byte
	if _, err := io.ReadFull(c, ask[:]); err != nil {
		return
	}
	switch ask[0] {
	case askLend:
		var refused *steady.Error // null: it has been taken
		if err := p.receive(life, c); err != nil {
			refused = steady.AsError(err)
		}
		_ = json.NewEncoder(c).Encode(refused)
	case askCopies:
		if err := p.sendCopies(c); err != nil {
			p.log.Warn("give copies of the listeners", "err", err)
		}
	}
}

func (p *Proxy) receive(life context.Context, c *net.UnixConn) error {
	h, err := listen.Receive(c)
	if err != nil {
		return steady.ErrUsage.With("no listener came: "+err.Error(), "")
	}
	return p.lend(life, h)
}

// lend takes a listener. A holder's is used from the next table on, and at once
// where the table in force has missed it; of published ones only what the table in
// force has missed is of use.
func (p *Proxy) lend(life context.Context, h listen.Handle) error {
	if strings.HasPrefix(h.Name, publishedUDP) {
		return p.lendUDP(life, h)
	}
	ref, holder := strings.CutPrefix(h.Name, steady.HolderListener(""))
	if holder && ref == "" || !holder && !strings.HasPrefix(h.Name, published) {
		h.File.Close()
		return steady.ErrUsage.With(fmt.Sprintf("a listener cannot be lent as %q", h.Name), "")
	}
	s, err := socketOf(h)
	if err != nil {
		return steady.ErrUsage.With(fmt.Sprintf("%s is no listener: %v", h.Name, err), "")
	}
	p.serving.Lock()
	defer p.serving.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !holder {
		if !p.openMissed(life, h.Name, s) {
			return s.Close()
		}
		return nil
	}
	before := p.lent[h.Name]
	if before != nil && before.same(s) {
		return s.Close()
	}
	if d := p.doors[key{holder: ref}]; before != nil && (d == nil || d.ln != before) {
		_ = before.Close() // lent and never used
	}
	p.lent[h.Name] = s
	p.openMissed(life, h.Name, s)
	return nil
}

// openMissed begins to accept on a listener of that name that the table in force
// has missed. False: it has missed none.
func (p *Proxy) openMissed(life context.Context, name string, s *socket) bool {
	for i, k := range keys(p.table.Listeners) {
		l := p.table.Listeners[i]
		if p.missing[k] == nil || listenerName(l) != name {
			continue
		}
		d := &door{ln: s}
		d.behind.Store(p.behind(l))
		p.open(life, k, d)
		p.log.Info("listens at last", "addr", name)
		return true
	}
	return false
}

// closeLent closes what was lent and is not accepted from.
func (p *Proxy) closeLent() {
	for _, s := range p.lent {
		_ = s.Close()
	}
}

func (p *Proxy) sendCopies(c *net.UnixConn) error {
	hs, err := p.copies()
	defer closeHandles(hs)
	if err != nil {
		return err
	}
	if err := binary.Write(c, binary.BigEndian, uint32(len(hs))); err != nil {
		return err
	}
	for _, h := range hs {
		if err := listen.Send(c, h); err != nil {
			return err
		}
	}
	return nil
}

// copies are descriptors of the listeners in force, under the names by which the
// next proxy looks for them.
func (p *Proxy) copies() ([]listen.Handle, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []listen.Handle
	for i, k := range keys(p.table.Listeners) {
		d := p.doors[k]
		if d == nil {
			continue
		}
		l := p.table.Listeners[i]
		if k.holder == "" {
			l.Port = d.port()
		}
		h, err := listen.Lend(listenerName(l), d.ln.TCPListener)
		if err != nil {
			return out, err
		}
		out = append(out, h)
	}
	return p.udpCopies(out)
}

func closeHandles(hs []listen.Handle) {
	for _, h := range hs {
		_ = h.File.Close()
	}
}
