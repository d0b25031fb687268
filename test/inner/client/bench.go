package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady/test/inner"
	"gesalpai.ch/steady/test/load"
)

// bulkSize is how much one BULK asks for.
const bulkSize = 256 << 20

// compare measures two ways to the same service in turns and gives the medians.
func compare(ctx context.Context, args []string) (map[string]inner.Speed, error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	direct := f.String("direct", "", "host of the one way")
	held := f.String("held", "", "host of the other")
	rounds := f.Int("rounds", 3, "of each, in turns")
	span := f.Duration("for", time.Second, "one measurement")
	conns := f.Int("conns", 16, "keep-alive connections")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	ways := map[string]string{"direct": *direct, "held": *held}
	taken := map[string][]inner.Speed{}
	slower := 0.0
	for range *rounds {
		for _, way := range []string{"direct", "held"} {
			s, err := measure(ctx, ways[way], *conns, *span)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way, err)
			}
			taken[way] = append(taken[way], s)
		}
	}
	slower = min(median(taken["direct"], rateOf), median(taken["held"], rateOf))
	out := map[string]inner.Speed{}
	for way, host := range ways {
		s := middle(taken[way])
		if err := halfLoad(ctx, &s, host, slower/2, *conns, *span*3); err != nil {
			return nil, fmt.Errorf("%s at half load: %w", way, err)
		}
		out[way] = s
	}
	return out, nil
}

func rateOf(s inner.Speed) float64 { return s.Rate }

func median(all []inner.Speed, of func(inner.Speed) float64) float64 {
	var v []float64
	for _, s := range all {
		v = append(v, of(s))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func middle(all []inner.Speed) inner.Speed {
	took := func(of func(inner.Speed) time.Duration) time.Duration {
		return time.Duration(median(all, func(s inner.Speed) float64 { return float64(of(s)) }))
	}
	return inner.Speed{
		Rate:     median(all, rateOf),
		Bulk:     median(all, func(s inner.Speed) float64 { return s.Bulk }),
		PingPong: median(all, func(s inner.Speed) float64 { return s.PingPong }),
		RoundP50: took(func(s inner.Speed) time.Duration { return s.RoundP50 }),
		RoundP99: took(func(s inner.Speed) time.Duration { return s.RoundP99 }),
		Connect:  took(func(s inner.Speed) time.Duration { return s.Connect }),
	}
}

func measure(ctx context.Context, host string, conns int, span time.Duration) (s inner.Speed, err error) {
	if s.Rate, err = throughput(host+":8000", conns, span); err != nil {
		return s, fmt.Errorf("HTTP: %w", err)
	}
	session, err := inner.Open(ctx, host+":7000", time.Minute)
	if err != nil {
		return s, err
	}
	defer session.Close()
	began := time.Now()
	if err := session.Bulk(bulkSize); err != nil {
		return s, fmt.Errorf("bulk: %w", err)
	}
	s.Bulk = bulkSize / 1e6 / time.Since(began).Seconds()
	var rounds []time.Duration
	for began = time.Now(); time.Since(began) < span; {
		asked := time.Now()
		if err := session.Ask("ECHO x"); err != nil {
			return s, fmt.Errorf("ping-pong: %w", err)
		}
		rounds = append(rounds, time.Since(asked))
	}
	s.PingPong = float64(len(rounds)) / time.Since(began).Seconds()
	slices.Sort(rounds)
	s.RoundP50, s.RoundP99 = rounds[len(rounds)/2], rounds[len(rounds)*99/100]
	s.Connect, err = connects(ctx, host+":7000")
	return s, err
}

// connects is how long a connect takes, greeting included.
func connects(ctx context.Context, addr string) (time.Duration, error) {
	const times = 200
	var all []time.Duration
	for range times {
		began := time.Now()
		s, err := inner.Open(ctx, addr, time.Minute)
		if err != nil {
			return 0, fmt.Errorf("connect: %w", err)
		}
		all = append(all, time.Since(began))
		s.Close()
	}
	slices.Sort(all)
	return all[times/2], nil
}

func halfLoad(ctx context.Context, s *inner.Speed, host string, rate float64, conns int, span time.Duration) error {
	r := load.Run(ctx, load.Options{
		URL: "http://" + host + ":8000", Rate: rate, Duration: span, Conns: 4 * conns,
		Mix: load.Mix{KeepAlive: 1}, WebSockets: -1, SSEs: -1,
	})
	if r.Err != nil || r.Lost() > 0 {
		return errors.Join(r.Err, fmt.Errorf("%d lost", r.Lost()))
	}
	s.P50, s.P99 = r.Loads[0].Latency.P50, r.Loads[0].Latency.P99
	return nil
}

// throughput is how many requests a second all connections together have
// answered, each asking anew once it was answered.
func throughput(addr string, conns int, span time.Duration) (float64, error) {
	var done atomic.Int64
	errs := make(chan error, conns)
	var wg sync.WaitGroup
	began := time.Now()
	for range conns {
		wg.Go(func() { errs <- ceaseless(addr, began.Add(span), &done) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return float64(done.Load()) / time.Since(began).Seconds(), nil
}

func ceaseless(addr string, end time.Time, done *atomic.Int64) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(end.Add(10 * time.Second))
	in, request := bufio.NewReader(c), []byte("GET /echo HTTP/1.1\r\nHost: x\r\nX-Request-Id: bench\r\n\r\n")
	for time.Now().Before(end) {
		if _, err := c.Write(request); err != nil {
			return err
		}
		if err := discardAnswer(in); err != nil {
			return err
		}
		done.Add(1)
	}
	return nil
}

func discardAnswer(in *bufio.Reader) error {
	length := 0
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\r\n" {
			_, err := in.Discard(length)
			return err
		}
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(v))
		}
	}
}
