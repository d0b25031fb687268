package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"sync"
	"time"

	"gesalpai.ch/steady/test/inner"
	"gesalpai.ch/steady/test/load"
)

// Shares of the rate, of all loads together.
const (
	byName  = 0.55 // keep-alive, fresh, POST and slow, resolving at each connect
	byFirst = 0.20 // keep-alive, fresh and POST, at the address that the name had at the start
	byShort = 0.25 // TCP, a connection for each question
)

// every is how long a connection that stays waits between two questions.
const every = 200 * time.Millisecond

// settings of the load. An empty address turns its load off.
type settings struct {
	http, tcp, nats string
	rate            float64
	long            int
	span, timeout   time.Duration
}

func parse(args []string) (settings, error) {
	var s settings
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.StringVar(&s.http, "http", "", "host:port of HTTP")
	f.StringVar(&s.tcp, "tcp", "", "host:port of the protocol in which the server speaks first")
	f.StringVar(&s.nats, "nats", "", "URL of a NATS server")
	f.Float64Var(&s.rate, "rate", 200, "questions per second, all kinds together")
	f.IntVar(&s.long, "long", 6, "connections that stay, of TCP and of NATS each")
	f.DurationVar(&s.span, "for", 10*time.Minute, "how long at most")
	f.DurationVar(&s.timeout, "timeout", 30*time.Second, "of one connect and of one question")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if s.rate <= 0 || s.rate > 5000 || s.long < 0 || s.long > 1000 || s.span > atMost {
		return s, fmt.Errorf("rate %g, long %d, for %s: out of bounds", s.rate, s.long, s.span)
	}
	return s, nil
}

// fire runs all kinds of clients at once and gives what they counted.
func fire(ctx context.Context, args []string) (inner.Report, error) {
	s, err := parse(args)
	if err != nil {
		return inner.Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.span)
	defer cancel()
	r := inner.Report{Started: time.Now()}
	requests, err := s.requests(ctx)
	if err != nil {
		return r, err
	}
	connections, tallies := s.connections(r.Started)
	reports := make([]load.Report, len(requests))
	var wg sync.WaitGroup
	for i, o := range requests {
		wg.Go(func() { reports[i] = load.Run(ctx, o) })
	}
	for _, run := range connections {
		wg.Go(func() { run(ctx) })
	}
	<-ctx.Done()
	r.Elapsed = time.Since(r.Started)
	wg.Wait()
	for i, prefix := range []string{"", "once/"}[:len(reports)] {
		r.HTTP = append(r.HTTP, counted(prefix, reports[i])...)
	}
	for _, t := range tallies {
		r.TCP = append(r.TCP, t.Sum())
	}
	return r, nil
}

// requests are the HTTP loads: one that resolves the name at each connect, and
// one that did so once and never again.
func (s settings) requests(ctx context.Context) ([]load.Options, error) {
	if s.http == "" {
		return nil, nil
	}
	first, err := resolved(ctx, s.http)
	if err != nil {
		return nil, err
	}
	at := func(addr string, share float64, mix load.Mix) load.Options {
		return load.Options{
			URL: "http://" + addr, Host: s.http, Rate: s.rate * share, Duration: s.span, Timeout: s.timeout,
			Mix: mix, WebSockets: -1, SSEs: -1, SlowMax: 500 * time.Millisecond,
		}
	}
	return []load.Options{
		at(s.http, byName, load.Mix{KeepAlive: 0.4, Fresh: 0.28, Post: 0.3, Slow: 0.02}),
		at(first, byFirst, load.Mix{KeepAlive: 0.4, Fresh: 0.3, Post: 0.3}),
	}, nil
}

func (s settings) connections(start time.Time) (runs []func(context.Context), tallies []*inner.Tally) {
	tally := func(kind string) *inner.Tally {
		t := inner.NewTally(kind, start)
		tallies = append(tallies, t)
		return t
	}
	if s.tcp != "" {
		c := inner.Clients{Addr: s.tcp, Timeout: s.timeout}
		long, short := tally("long"), tally("short")
		runs = append(runs,
			func(ctx context.Context) { c.Long(ctx, long, s.long, every) },
			func(ctx context.Context) { c.Short(ctx, short, s.rate*byShort, 256) })
	}
	if s.nats != "" {
		t := tally("nats")
		runs = append(runs, func(ctx context.Context) { talkNATS(ctx, t, s, every) })
	}
	return runs, tallies
}

func counted(prefix string, r load.Report) []inner.HTTP {
	wrong := map[string]int{}
	for _, a := range r.Judge(r.Ascending()...) {
		wrong[a.Load]++
	}
	var out []inner.HTTP
	for _, s := range r.Loads {
		h := inner.HTTP{
			Kind: prefix + s.Load, Sent: s.Sent, OK: s.OK, Lost: map[string]int{}, Unsent: s.Unsent, Wrong: wrong[s.Load],
			P50: s.Latency.P50, P99: s.Latency.P99, Longest: s.Latency.Longest,
		}
		for phase, n := range s.Lost {
			h.Lost[phase.String()] = n
		}
		out = append(out, h)
	}
	for _, l := range r.Losses {
		out[0].Errors = append(out[0].Errors, fmt.Sprintf("%s %s %s: %s", l.At.Round(time.Millisecond), l.ID, l.Phase, l.Err))
	}
	return out
}

func resolved(ctx context.Context, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(found[0], port), nil
}
