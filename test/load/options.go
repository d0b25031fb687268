package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gesalpai.ch/steady/internal/drill"
)

// Options says what is fired at whom. The zero value of a field means its
// default; only URL has none.
type Options struct {
	URL      string        // "http://127.0.0.1:8000"; a path in it is put before every path
	TLS      *tls.Config   // of an https URL; nil: what the system trusts, for the host of Host
	HTTP2    bool          // over an https URL: a connection a lane, and no streams
	Host     string        // Host header; the URL's host and port
	Rate     float64       // requests per second, all loads and WebSocket messages together; 300
	Duration time.Duration // of sending; 1 minute, by Start 1 hour. What is then in flight may end, within Timeout
	Timeout  time.Duration // of one connect and of one exchange; 30 s, above the longest hold of a proxy
	Run      string        // first part of every request id; drawn at random

	Mix   Mix   // shares of Rate
	Paths Paths // what is asked for

	Conns      int           // connections of the keep-alive load, and of the POST load; 10
	InFlight   int           // most requests at once, in the fresh and in the slow load; 256
	SlowMax    time.Duration // longest delay the slow load asks for; 2 s
	SlowFresh  bool          // the slow load opens a connection for each request
	WebSockets int           // WebSocket streams open at once; 6, negative: none
	SSEs       int           // SSE streams open at once; 6, negative: none
	Seed       uint64        // of sizes, delays and bodies; 1
}

// Mix is each load's share of the rate. A share of 0 turns the load off, unless
// all are 0. The shares need not add up to 1.
type Mix struct {
	KeepAlive, Fresh, Post, Slow float64
	Messages                     float64 // WebSocket messages, over all streams
}

// Paths says what each load asks for.
type Paths struct {
	KeepAlive string // "/echo"
	Fresh     string // "/echo"
	Post      string // "/echo"; answers with the request's body
	Slow      string // "/slow"; the rig adds d=<milliseconds>ms to its query
	WebSocket string // "/ws"; sends each message back
	SSE       string // "/sse?interval=200ms"
}

func (m Mix) sum() float64 { return m.KeepAlive + m.Fresh + m.Post + m.Slow + m.Messages }

// Validate says what makes the options unusable, nil when nothing does.
func (o Options) Validate() error {
	_, err := o.withDefaults().target()
	return err
}

func (o Options) withDefaults() Options {
	orElse(&o.Rate, 300)
	orElse(&o.Duration, time.Minute)
	orElse(&o.Timeout, 30*time.Second)
	orElse(&o.Run, "r"+strconv.FormatInt(time.Now().UnixMicro(), 36))
	orElse(&o.Mix, Mix{KeepAlive: 0.40, Fresh: 0.25, Post: 0.25, Slow: 0.02, Messages: 0.08})
	orElse(&o.Paths.KeepAlive, "/echo")
	orElse(&o.Paths.Fresh, "/echo")
	orElse(&o.Paths.Post, "/echo")
	orElse(&o.Paths.Slow, "/slow")
	orElse(&o.Paths.WebSocket, "/ws")
	orElse(&o.Paths.SSE, "/sse?interval=200ms")
	orElse(&o.Conns, 10)
	orElse(&o.InFlight, 256)
	orElse(&o.SlowMax, 2*time.Second)
	orElse(&o.WebSockets, 6)
	orElse(&o.SSEs, 6)
	orElse(&o.Seed, 1)
	return o
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o Options) target() (target, error) {
	t, u, err := drill.TargetOf(o.URL)
	if err != nil {
		return target{}, fmt.Errorf("read the url of the load: %w", err)
	}
	switch {
	case u.Scheme == "http" && o.HTTP2:
		return target{}, fmt.Errorf("read the url of the load: HTTP/2 without TLS to %q", o.URL)
	case o.Rate < 0 || o.Duration < 0 || o.Timeout < 0 || o.Conns < 0 || o.InFlight < 0 || o.SlowMax < 0:
		return target{}, errors.New("read the options of the load: a rate, a duration or a number is negative")
	case o.Mix.KeepAlive < 0 || o.Mix.Fresh < 0 || o.Mix.Post < 0 || o.Mix.Slow < 0 || o.Mix.Messages < 0:
		return target{}, errors.New("read the options of the load: a share of the mix is negative")
	}
	t.Agent, t.Timeout = agent, o.Timeout
	if o.Host != "" {
		t.Host = o.Host
	}
	if u.Scheme == "https" {
		t.Secure(o.TLS, o.HTTP2)
	}
	return t, nil
}
