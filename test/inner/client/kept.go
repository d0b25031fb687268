package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"

	"gesalpai.ch/steady/test/inner"
)

const (
	// answerWithin is how long a connect or a question may take, a pause of the server's
	// included.
	answerWithin = 20 * time.Second
	// workFor is how long a server works for an answer.
	workFor = 20 * time.Millisecond
)

// asker keeps a connection and asks over it.
type asker interface {
	// ask gives what the server answers to text, which is text.
	ask(ctx context.Context, text string) (string, error)
	close()
}

// askers make them by kind of server, "nats", "postgres" or "redis".
var askers = map[string]func(ctx context.Context, addr string) (asker, error){
	"nats": newNATS, "postgres": newPostgres, "redis": newRedis,
}

// keep has clients of real libraries ask over connections that they keep, each at a pace
// of its own, until ctx ends. Each server is named as KIND=ADDR.
func keep(ctx context.Context, args []string) (inner.Report, error) {
	f := flag.NewFlagSet("kept", flag.ContinueOnError)
	conns := f.Int("conns", 40, "connections to each server")
	rate := f.Float64("rate", 200, "questions per second to each server")
	timeout := f.Duration("timeout", answerWithin, "of one question")
	if err := f.Parse(args); err != nil {
		return inner.Report{}, err
	}
	if *conns < 1 || *conns > 1000 || *rate <= 0 || *rate > 5000 {
		return inner.Report{}, fmt.Errorf("%d connections, %g questions per second: out of bounds", *conns, *rate)
	}
	every := time.Duration(float64(*conns) / *rate * float64(time.Second))
	r := inner.Report{Started: time.Now()}
	var tallies []*inner.Tally
	var wg sync.WaitGroup
	for _, server := range f.Args() {
		kind, addr, _ := strings.Cut(server, "=")
		open := askers[kind]
		if open == nil {
			return r, fmt.Errorf("%s: no such kind of server", server)
		}
		t := inner.NewTally(kind, r.Started)
		tallies = append(tallies, t)
		for n := range *conns {
			a, err := open(ctx, addr)
			if err != nil {
				return r, fmt.Errorf("%s: %w", server, err)
			}
			wg.Go(func() {
				defer a.close()
				p := pace{first: every * time.Duration(n) / time.Duration(*conns), every: every, timeout: *timeout}
				p.keepAsking(ctx, t, a)
			})
		}
	}
	wg.Wait()
	r.Elapsed = time.Since(r.Started)
	for _, t := range tallies {
		r.TCP = append(r.TCP, t.Sum())
	}
	return r, nil
}

// pace is when one client asks, and how long it waits for an answer.
type pace struct{ first, every, timeout time.Duration }

// keepAsking asks every so often until ctx ends; a question that was begun is ended.
func (p pace) keepAsking(ctx context.Context, t *inner.Tally, a asker) {
	select {
	case <-time.After(p.first):
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for n := 0; ; n++ {
		err := askOnce(a, p.timeout, fmt.Sprintf("question-%d", n))
		t.Asked(err)
		if err != nil {
			t.Error(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func askOnce(a asker, timeout time.Duration, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	began := time.Now()
	got, err := a.ask(ctx, text)
	if err != nil {
		return &inner.Fault{Phase: inner.PhaseAnswer, Err: fmt.Errorf("%s after %s: %w", text, time.Since(began).Round(time.Millisecond), err)}
	}
	if got != text {
		return &inner.Fault{Phase: inner.PhaseWrong, Err: fmt.Errorf("%q answers %q", got, text)}
	}
	return nil
}

type natsAsker struct{ *nats.Conn }

func newNATS(_ context.Context, addr string) (asker, error) {
	c, err := nats.Connect("nats://"+addr, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond),
		nats.ReconnectJitter(20*time.Millisecond, 0), nats.Timeout(answerWithin))
	return natsAsker{c}, err
}

func (a natsAsker) ask(ctx context.Context, text string) (string, error) {
	m, err := a.RequestWithContext(ctx, "ask", []byte(text))
	if err != nil {
		return "", err
	}
	return string(m.Data), nil
}

func (a natsAsker) close() { a.Close() }

type postgresAsker struct{ *pgxpool.Pool }

// newPostgres keeps one connection and looks whether it was ended before each use, as
// every pool can be told to.
func newPostgres(ctx context.Context, addr string) (asker, error) {
	c, err := pgxpool.ParseConfig("postgres://postgres@" + addr + "/postgres?sslmode=disable")
	if err != nil {
		return nil, err
	}
	c.MinConns, c.MaxConns = 1, 1
	c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	c.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) { return conn.PgConn().CheckConn() == nil, nil }
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	return postgresAsker{pool}, pool.Ping(ctx)
}

func (a postgresAsker) ask(ctx context.Context, text string) (answer string, err error) {
	err = a.QueryRow(ctx, "select $1::text from pg_sleep($2)", text, workFor.Seconds()).Scan(&answer)
	return answer, err
}

func (a postgresAsker) close() { a.Close() }

type redisAsker struct{ *redis.Client }

// newRedis keeps one connection. Nothing is asked twice, which the library would do.
func newRedis(ctx context.Context, addr string) (asker, error) {
	c := redis.NewClient(&redis.Options{
		Addr: addr, PoolSize: 1, MinIdleConns: 1, MaxRetries: -1, DialTimeout: answerWithin, ReadTimeout: answerWithin, WriteTimeout: answerWithin,
	})
	return redisAsker{c}, c.Ping(ctx).Err()
}

// ask waits for a replica that is not there, and then has the text echoed.
func (a redisAsker) ask(ctx context.Context, text string) (string, error) {
	var echo *redis.StringCmd
	_, err := a.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Do(ctx, "WAIT", 1, workFor.Milliseconds())
		echo = p.Echo(ctx, text)
		return nil
	})
	if err != nil {
		return "", err
	}
	return echo.Val(), nil
}

func (a redisAsker) close() { a.Close() }
