package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// backlogTime is how long a listener that closes still accepts, so that clients
// whose connect the kernel has answered are not reset.
const backlogTime = 20 * time.Millisecond

// door is one address we listen on and the pool behind it.
type door struct {
	ln     *socket // guarded by Proxy.mu
	behind atomic.Pointer[behind]
	quic   atomic.Pointer[listen.QUIC] // HTTP/3 at the same address; nil for none
	mute   bool                        // it could not be had; guarded by Proxy.mu
	gone   atomic.Bool                 // no table lists it any more: its connections are lame ducks
}

// connKey finds a request's connection in its context.
type connKey struct{}

// port is the port the door got.
func (d *door) port() uint16 { return listen.Port(d.ln) }

// close stops accepting. Connections that are open stay; their next answer says
// that it is the last.
func (d *door) close() {
	d.gone.Store(true)
	d.ln.rest()
}

// leave is close for an address that no table lists any more.
func (d *door) leave() {
	d.gone.Store(true)
	d.ln.leave()
}

// accept takes connections from ln until it is closed.
func (p *Proxy) accept(life context.Context, d *door, ln *socket) {
	defer ln.end()
	pause := time.Duration(0)
	for {
		c, err := ln.AcceptTCP()
		if err == nil {
			pause = 0
			// With no seat free the rest waits in the backlog, and this one here.
			if !p.seats.take(life) {
				c.Close()
				return
			}
			p.admit(life, &clientConn{TCPConn: c, door: d, seats: p.seats})
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) || ln.left.Load() {
			return
		}
		// Out of files or memory: what waits in the backlog is not lost yet.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		p.log.Warn("accept", "addr", ln.Addr().String(), "err", err, "pause", pause)
		wait(life, pause)
	}
}

func (p *Proxy) admit(life context.Context, c *clientConn) {
	p.conns.add(c)
	p.work.Go(func() { p.greet(life, c) })
}

// clientConn is an open client connection.
type clientConn struct {
	*net.TCPConn
	door  *door
	meant netip.AddrPort // where to, at a holder's listener
	first first
	deaf  atomic.Bool // nothing more is read of it, whatever comes
	seats *seats
	conns *conns
	once  sync.Once
}

// Close closes the connection and gives its seat back.
func (c *clientConn) Close() error {
	err := c.TCPConn.Close()
	c.once.Do(func() {
		c.conns.remove(c)
		c.seats.free()
	})
	return err
}

// seats bounds how many client connections are open.
type seats struct{ taken chan struct{} }

func newSeats(n int) *seats { return &seats{taken: make(chan struct{}, n)} }

func (s *seats) take(ctx context.Context) bool {
	select {
	case s.taken <- struct{}{}:
		return true
	default:
	}
	select {
	case s.taken <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *seats) free() { <-s.taken }

// conns are the open client connections.
type conns struct {
	mu   sync.Mutex
	open map[*clientConn]struct{}
}

func (s *conns) add(c *clientConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*clientConn]struct{}{}
	}
	c.conns = s
	s.open[c] = struct{}{}
}

func (s *conns) remove(c *clientConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *conns) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

func (s *conns) closeAll() {
	s.mu.Lock()
	open := make([]*clientConn, 0, len(s.open))
	for c := range s.open {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// handed is the listener net/http accepts from: connections that turned out to
// speak HTTP.
type handed struct {
	ch   chan net.Conn
	done chan struct{}
	once sync.Once
}

func newHanded() *handed { return &handed{ch: make(chan net.Conn), done: make(chan struct{})} }

func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.ch:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *handed) Addr() net.Addr { return &net.TCPAddr{} }

// hand gives a connection to net/http.
func (h *handed) hand(c net.Conn) {
	select {
	case h.ch <- c:
	case <-h.done:
		c.Close()
	}
}

// key tells listeners of a table apart. Those that let the proxy choose a port
// are told apart by their pool and their order, holders' by their holder.
type key struct {
	host   string
	port   uint16
	pool   string
	order  int
	holder string
}

func keys(listeners []steady.Listener) []key {
	out := make([]key, len(listeners))
	chosen := map[key]int{}
	for i, l := range listeners {
		out[i] = key{host: l.Host, port: l.Port, holder: l.Holder}
		if l.Port == 0 && l.Holder == "" {
			out[i].pool = l.Pool
			n := chosen[out[i]]
			chosen[out[i]]++
			out[i].order = n
		}
	}
	return out
}
