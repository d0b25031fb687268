package listen

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// QUICOptions say how HTTP/3 is answered.
type QUICOptions struct {
	TLS            *tls.Config
	Handler        http.Handler
	Context        func(context.Context) context.Context // of a connection's requests
	IdleTimeout    time.Duration
	MaxHeaderBytes int
	ResetKey       [32]byte // the same for every process that follows at this address
}

// QUIC answers HTTP/3 at one address.
type QUIC struct {
	conn   *net.UDPConn
	wire   *quic.Transport
	server *http3.Server
	done   chan struct{}
}

// ServeQUIC answers HTTP/3 on addr, as TCP takes it, until Close or Leave.
func ServeQUIC(ctx context.Context, addr string, o QUICOptions) (*QUIC, error) {
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "udp"+family(addr)[len("tcp"):], addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s, udp: %w", addr, err)
	}
	q := &QUIC{conn: conn.(*net.UDPConn), done: make(chan struct{})}
	key := quic.StatelessResetKey(o.ResetKey)
	q.wire = &quic.Transport{Conn: q.conn, StatelessResetKey: &key}
	q.server = &http3.Server{
		Handler: o.Handler, IdleTimeout: o.IdleTimeout, MaxHeaderBytes: o.MaxHeaderBytes,
		ConnContext: func(ctx context.Context, _ *quic.Conn) context.Context { return o.Context(ctx) },
	}
	ln, err := q.wire.ListenEarly(http3.ConfigureTLSConfig(o.TLS), &quic.Config{MaxIdleTimeout: o.IdleTimeout, Allow0RTT: false})
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("listen on %s, udp: %w", addr, err)
	}
	go func() {
		defer close(q.done)
		_ = q.server.ServeListener(ln)
		_ = ln.Close()
	}()
	return q, nil
}

// AltSvc is the header by which clients learn of it (RFC 7838).
func (q *QUIC) AltSvc() string {
	return fmt.Sprintf(`h3=":%d"; ma=86400`, q.conn.LocalAddr().(*net.UDPAddr).Port)
}

// Leave accepts no new connection, tells the open ones to ask elsewhere (GOAWAY,
// RFC 9114 5.2), waits until ctx ends for requests under way, and closes.
func (q *QUIC) Leave(ctx context.Context) {
	h3 := q.server
	_ = h3.Shutdown(ctx)
	q.Close()
}

// Close ends everything at once.
func (q *QUIC) Close() {
	_ = q.server.Close()
	_ = q.wire.Close()
	_ = q.conn.Close()
	<-q.done
}

// ResetKey is a secret by which a process tells clients at once that connections
// of the one before are no more, kept in dir (0600).
func (c *Certificates) ResetKey() (key [32]byte, err error) {
	path := filepath.Join(c.dir, "quic-reset.key")
	b, err := os.ReadFile(path)
	if err == nil && len(b) == len(key) {
		return [32]byte(b), nil
	}
	if _, err := rand.Read(key[:]); err != nil {
		return key, err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return key, fmt.Errorf("keep the key of HTTP/3: %w", err)
	}
	if err := os.WriteFile(path, key[:], 0o600); err != nil {
		return key, fmt.Errorf("keep the key of HTTP/3: %w", err)
	}
	return key, nil
}
