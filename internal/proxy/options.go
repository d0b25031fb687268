package proxy

import (
	"errors"
	"log/slog"
	"path/filepath"
	"syscall"
	"time"

	"gesalpai.ch/steady/internal/listen"
)

// Options are what a Proxy is made of.
type Options struct {
	Socket    string       // path of the control socket; made 0600, its directory 0700
	TableFile string       // where the table in force is kept, and served from at start
	Log       *slog.Logger // nil: nothing is logged

	// Certificates is the directory where certificates from ACME servers are kept,
	// made 0700; empty: beside TableFile.
	Certificates string
	Limits       Limits
	Access       AccessLog

	// Inherited are listeners that a former proxy listened on, kept open by whoever
	// starts this one: used by name instead of being opened anew, so that what came
	// in between is served. Run closes those it has no use for.
	Inherited []listen.Handle
}

// Limits guard the proxy against slow and oversized clients. A zero field is its
// default.
type Limits struct {
	// ReadHeaderTimeout is how long a request's head may take from its first byte on.
	ReadHeaderTimeout time.Duration
	// MaxHeaderBytes is how large a request's head may be; beyond it 431.
	MaxHeaderBytes int
	// BodyIdle is how long a client may send nothing of a body it owes; then 408.
	BodyIdle time.Duration
	// WriteIdle is how long a client may take nothing of an answer; then it is cut.
	WriteIdle time.Duration
	// IdleTimeout is how long a client connection may stay idle. It is the one
	// case in which an idle connection is closed unannounced, so it is longer than
	// what clients keep: nginx's upstreams 60 s, Go 90 s, browsers ask anew.
	IdleTimeout time.Duration
	// MaxBody is how large a request's body may be; beyond it 413. 0: any size.
	MaxBody int64
	// MaxConns is how many client connections may be open; more wait in the
	// kernel's backlog. 0: as many as the limit of open files allows.
	MaxConns int
	// Grace is how long requests and streams in flight may go on when Run's
	// context ends.
	Grace time.Duration
}

// Defaults of Limits.
const (
	DefaultReadHeaderTimeout = 10 * time.Second
	DefaultMaxHeaderBytes    = 64 << 10
	DefaultBodyIdle          = 60 * time.Second
	DefaultWriteIdle         = 60 * time.Second
	DefaultIdleTimeout       = 120 * time.Second
	DefaultGrace             = 10 * time.Second
)

func (o Options) filled() Options {
	fill(&o.Certificates, filepath.Join(filepath.Dir(o.TableFile), "certificates"))
	fill(&o.Log, slog.New(slog.DiscardHandler))
	return o
}

func (l Limits) filled() Limits {
	fill(&l.ReadHeaderTimeout, DefaultReadHeaderTimeout)
	fill(&l.MaxHeaderBytes, DefaultMaxHeaderBytes)
	fill(&l.BodyIdle, DefaultBodyIdle)
	fill(&l.WriteIdle, DefaultWriteIdle)
	fill(&l.IdleTimeout, DefaultIdleTimeout)
	fill(&l.Grace, DefaultGrace)
	fill(&l.MaxConns, connsForFiles())
	return l
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// connsForFiles halves the limit of open files, as every client connection may
// have one to an upstream, and keeps some back for listeners and ourselves.
func connsForFiles() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 512
	}
	return int(min(max(r.Cur/2, 256)-128, 1<<20))
}

func (o Options) validate() error {
	if o.Socket == "" {
		return errors.New("proxy: no control socket given")
	}
	if o.TableFile == "" {
		return errors.New("proxy: no table file given")
	}
	return o.Access.validate()
}
