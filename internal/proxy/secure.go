package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// secure hands a connection that begins with TLS to net/http, which shakes hands
// within ReadHeaderTimeout.
func (p *Proxy) secure(c *clientConn) {
	c.first.idle, c.first.head = p.limits.IdleTimeout, p.limits.ReadHeaderTimeout
	c.first.state.Store(shakesHands)
	p.http.hand(tls.Server(c, p.tls))
}

// clientOf finds our connection below what net/http serves.
func clientOf(c net.Conn) *clientConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*clientConn)
}

// far is who is at the other end of a request's connection. Over HTTP/3 there is no
// connection of ours below it: the request itself says from where it came.
func (c *clientConn) far(in *http.Request) interface{ RemoteAddr() net.Addr } {
	if c.TCPConn != nil {
		return c
	}
	return remote(in.RemoteAddr)
}

// remote is an address as http.Request has it.
type remote string

// RemoteAddr is that address; nil where it cannot be read.
func (r remote) RemoteAddr() net.Addr {
	at, err := netip.ParseAddrPort(string(r))
	if err != nil {
		return nil
	}
	return net.TCPAddrFromAddrPort(at)
}

// How far a TLS connection has come.
const (
	begun       = iota // or not TLS
	shakesHands        // deadlines are net/http's
	silent             // the next deadline is of the first request's head
	waited             // it was stretched; the first byte brings it back
)

// first stretches net/http's deadline for the first request's head, of which not a
// byte has come. A browser opens connections ahead, and closing one unannounced
// may lose the request that is just being sent.
type first struct {
	state      atomic.Int32
	idle, head time.Duration
}

// SetReadDeadline implements net.Conn. net/http clears it after the handshake and
// then sets that of the first request.
func (c *clientConn) SetReadDeadline(t time.Time) error {
	switch {
	case t.IsZero():
		c.first.state.CompareAndSwap(shakesHands, silent)
	case c.first.state.CompareAndSwap(silent, waited):
		t = time.Now().Add(c.first.idle)
	}
	return c.TCPConn.SetReadDeadline(t)
}

// Read implements net.Conn.
func (c *clientConn) Read(b []byte) (int, error) {
	if c.deaf.Load() {
		return 0, io.EOF
	}
	n, err := c.TCPConn.Read(b)
	if n > 0 && c.first.state.CompareAndSwap(waited, begun) {
		_ = c.TCPConn.SetReadDeadline(time.Now().Add(c.first.head))
	}
	return n, err
}

// misdirected says whether a request has come on a connection that was opened for
// another host, with a certificate that is not its host's (RFC 9110, 15.5.20).
func (p *Proxy) misdirected(in *http.Request, host string) bool {
	return in.TLS != nil && in.TLS.ServerName != "" && !p.certs.Covers(strings.ToLower(in.TLS.ServerName), host)
}

// quicken answers HTTP/3 where the door's listener has TLS. It is tried again
// every second where the port cannot be had: nobody needs it. p.mu is held.
func (p *Proxy) quicken(life context.Context, d *door, l steady.Listener) {
	now := d.quic.Load()
	switch {
	case !l.TLS && now != nil:
		d.quic.Store(nil)
		p.work.Go(func() { p.hush(now) })
	case l.TLS && now == nil && !d.gone.Load():
		l.Port = d.port()
		key, err := p.certs.ResetKey()
		if err == nil {
			now, err = listen.ServeQUIC(life, l.Addr(), listen.QUICOptions{
				TLS: p.certs.Config("h3"), Handler: p, IdleTimeout: p.limits.IdleTimeout, MaxHeaderBytes: p.limits.MaxHeaderBytes, ResetKey: key,
				Context: func(ctx context.Context) context.Context {
					return context.WithValue(ctx, connKey{}, &clientConn{door: d})
				},
			})
		}
		if err == nil {
			d.quic.Store(now)
		}
		if d.mute != (err != nil) {
			d.mute = err != nil
			p.log.LogAttrs(life, slog.LevelInfo, "HTTP/3", slog.Bool("answered", err == nil), slog.Any("err", err))
		}
	}
}

// quickenAll tries again what could not be had.
func (p *Proxy) quickenAll(life context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, k := range keys(p.table.Listeners) {
		if d := p.doors[k]; d != nil {
			p.quicken(life, d, p.table.Listeners[i])
		}
	}
}

// hush ends HTTP/3 at an address: the clients are told, and requests under way may
// end.
func (p *Proxy) hush(q *listen.QUIC) {
	ctx, cancel := context.WithTimeout(context.Background(), p.limits.Grace)
	defer cancel()
	q.Leave(ctx)
}

// hushDoor ends HTTP/3 of a door that closes.
func (p *Proxy) hushDoor(d *door) {
	if q := d.quic.Swap(nil); q != nil {
		p.work.Go(func() { p.hush(q) })
	}
}

// certificates are those of a table as listen knows them.
func certificates(t steady.Table) []listen.Certificate {
	out := make([]listen.Certificate, 0, len(t.Certificates))
	for _, c := range t.Certificates {
		out = append(out, listen.Certificate{
			Host: c.Host, File: c.Certificate, Key: c.Key, CA: c.CA, CARoot: c.CARoot, Email: c.Email, HTTP: c.HTTP, HTTPS: c.HTTPS,
		})
	}
	return out
}

// certificateStates tells of the certificates of the table in force.
func (p *Proxy) certificateStates() []steady.CertificateStatus {
	out := []steady.CertificateStatus{}
	for _, s := range p.certs.State() {
		st := steady.CertificateStatus{Host: s.Host, Source: s.Source, Issuer: s.Issuer, NotAfter: s.NotAfter, Next: s.Next}
		if s.Err != nil {
			st.Error = s.Err.Error()
		}
		out = append(out, st)
	}
	return out
}
