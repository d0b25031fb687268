package load

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// Counts are the live figures of a run, all loads together.
type Counts struct {
	Sent, OK int
	Lost     int // as Report.Lost
	Cut      int // as Report.Cut
}

// Running is a run that was started. Its methods are safe for concurrent use.
type Running struct {
	stop    context.CancelFunc
	done    chan struct{}
	tallies []*tally
	report  Report // written before done is closed
}

// Run fires the loads until Duration has passed or ctx ends, awaits what is
// then in flight, and answers what was counted. All its goroutines have ended
// when it returns, at the latest one Timeout after the sending. Unusable
// options are the report's Err.
func Run(ctx context.Context, o Options) Report {
	r := start(ctx, o)
	<-r.done
	return r.report
}

// Start begins a run and returns. Whoever calls it calls Stop. Its Duration is
// only a bound, and an hour where none is given: a load that ended unnoticed
// would lose nothing.
func Start(o Options) *Running {
	orElse(&o.Duration, time.Hour)
	return start(context.Background(), o)
}

// Stop ends the sending, awaits what is in flight, and answers what was
// counted. A second call answers the same.
func (r *Running) Stop() Report {
	r.stop()
	<-r.done
	return r.report
}

// Done is closed when the run has ended, by Stop or by its Duration.
func (r *Running) Done() <-chan struct{} { return r.done }

// Counts are the figures so far.
func (r *Running) Counts() Counts {
	var sum Counts
	for _, t := range r.tallies {
		c := t.counts()
		sum.Sent += c.Sent
		sum.OK += c.OK
		sum.Lost += c.Lost
		sum.Cut += c.Cut
	}
	return sum
}

func start(ctx context.Context, o Options) *Running {
	o = o.withDefaults()
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, o.Duration)
	r := &Running{stop: cancel, done: make(chan struct{})}
	r.report = Report{Run: o.Run, URL: o.URL, Rate: o.Rate, Started: began}
	t, err := o.target()
	if err != nil {
		cancel()
		r.report.Err = err
		close(r.done)
		return r
	}
	p := &plan{o: o, target: t, start: began}
	p.unary()
	p.streams()
	r.tallies = p.tallies
	go func() {
		defer close(r.done)
		defer cancel()
		var wg sync.WaitGroup
		for _, run := range p.runs {
			wg.Go(func() { run(ctx) })
		}
		<-ctx.Done()
		r.report.Elapsed = time.Since(began)
		wg.Wait()
		r.report.collect(p.tallies)
	}()
	return r
}

// plan turns options into loads.
type plan struct {
	o       Options
	target  target
	start   time.Time
	tallies []*tally
	runs    []func(context.Context)
}

func (p *plan) tally(name string) *tally {
	t := newTally(name, p.o.Run, p.start, p.o.Timeout)
	p.tallies = append(p.tallies, t)
	return t
}

func (p *plan) rate(share float64) float64 { return p.o.Rate * share / p.o.Mix.sum() }

func (p *plan) rng(load uint64) *rand.Rand { return rand.New(rand.NewPCG(p.o.Seed, load)) }

func (p *plan) unary() {
	add := func(name string, share float64, lanes int, draw func(int, string) exchange) {
		if share > 0 {
			p.runs = append(p.runs, newUnary(p.target, p.tally(name), p.rate(share), lanes, draw).run)
		}
	}
	m, paths := p.o.Mix, p.o.Paths
	// As many lanes as the delays fill, twice: more connections would lie idle
	// for longer than servers keep them.
	slow := 4 + int(math.Ceil(2*p.rate(m.Slow)*p.o.SlowMax.Seconds()))
	add("keepalive", m.KeepAlive, p.o.Conns, drawGet(paths.KeepAlive))
	add("fresh", m.Fresh, p.o.InFlight, drawFresh(paths.Fresh))
	add("post", m.Post, p.o.Conns, drawPost(paths.Post, p.rng(1)))
	add("slow", m.Slow, min(slow, p.o.InFlight), drawSlow(paths.Slow, p.o.SlowMax, p.o.SlowFresh, p.rng(2)))
}

func (p *plan) streams() {
	if p.o.HTTP2 {
		return
	}
	if n := p.o.WebSockets; n > 0 {
		every := time.Second
		if rate := p.rate(p.o.Mix.Messages); rate > 0 {
			every = time.Duration(float64(n) / rate * float64(time.Second))
		}
		p.stream("ws", &streams{
			path: p.o.Paths.WebSocket, clients: n,
			header: webSocketHeader, welcome: webSocketWelcome, talk: talkWebSocket(every),
		})
	}
	if n := p.o.SSEs; n > 0 {
		p.stream("sse", &streams{
			path: p.o.Paths.SSE, clients: n,
			header: sseHeader, welcome: sseWelcome, talk: talkSSE,
		})
	}
}

func (p *plan) stream(name string, s *streams) {
	s.target, s.tally = p.target, p.tally(name)
	s.tally.sum.Streams = &StreamSummary{}
	p.runs = append(p.runs, s.run)
}
