// Package probe learns whether a replica can serve, by asking it: over HTTP or
// TCP at the address that its traffic will take, by a command within it, or by
// what the Engine says of it. It asks at a pace of its own, so that readiness is
// seen within 100 ms however slow the container's own healthcheck is.
package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// Inspector is what a probe needs of the Engine. Its methods are called from
// several goroutines.
type Inspector interface {
	// Replica looks up one container; steady.ErrNoReplica when it is not there.
	Replica(ctx context.Context, name string) (steady.Replica, error)
	// Exec runs a command in the container and gives its exit code and what it
	// wrote. The error is about running it, not about its exit code.
	Exec(ctx context.Context, name string, argv []string) (exit int, output string, err error)
	// Tail gives the container's last n log lines, oldest first.
	Tail(ctx context.Context, name string, n int) ([]string, error)
}

// Dial opens a connection as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

const (
	// risePause is between the first good answer and those that must follow it: the
	// replica is there, so it need not wait for the interval.
	risePause = 10 * time.Millisecond
	// watchPause is between two looks at the container's state, beside the questions.
	watchPause = 200 * time.Millisecond
	// tailLines is how many log lines an error shows, tailTimeout how long they may
	// take.
	tailLines   = 10
	tailTimeout = 2 * time.Second
)

// Prober asks replicas. It keeps nothing between two calls and may be used from
// several goroutines.
type Prober struct {
	engine    Inspector
	dial      Dial
	listening func(pid int, id string) ([]listen.Socket, error) // of a container's first process
}

// New returns a prober that looks at containers through engine and connects by
// dial; nil means the network.
func New(engine Inspector, dial Dial) *Prober {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &Prober{engine: engine, dial: dial, listening: listening}
}

// errDeadline is why the questions stop when probe.Deadline has passed.
var errDeadline = errors.New("deadline of the probe")

// Ready waits until the named replica has given probe.Rise good answers in a row
// and says how it answered: "200 /health after 1.4s". The clock of
// probe.Deadline begins with the call. Gaps in probe take the root package's
// defaults. Errors, each with the container's last log lines:
// steady.ErrExited when it exits or is restarted, steady.ErrUnhealthy when its own
// healthcheck says so, steady.ErrNotReady when the deadline passes,
// steady.ErrNoReplica when it is gone; and ctx's when that ends.
func (p *Prober) Ready(ctx context.Context, name string, probe steady.Probe) (string, error) {
	return p.ready(ctx, &attempt{Prober: p, name: name, probe: filled(probe), began: time.Now()})
}

// ReadyAgain is Ready for a replica that has died and that the Engine has started
// again: restarts of before the first look are why it is asked, and no fault.
func (p *Prober) ReadyAgain(ctx context.Context, name string, probe steady.Probe) (string, error) {
	return p.ready(ctx, &attempt{Prober: p, name: name, probe: filled(probe), began: time.Now(), again: true})
}

func (p *Prober) ready(ctx context.Context, a *attempt) (string, error) {
	a.heard.since = a.began
	asking, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	timed, cancel := context.WithTimeoutCause(asking, a.probe.Deadline, errDeadline)
	defer cancel()

	said, err := a.run(timed, stop)
	switch {
	case err == nil:
		return fmt.Sprintf("%s after %s", said, short(time.Since(a.began))), nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("probe %s: %w", a.name, context.Cause(ctx))
	case errors.Is(err, errDeadline):
		err = a.notReady()
	}
	return "", a.told(ctx, err)
}

// filled puts defaults where the probe is silent.
func filled(p steady.Probe) steady.Probe {
	interval := steady.DefaultProbeInterval
	if p.Kind == steady.ProbeExec {
		interval = steady.DefaultExecInterval
	}
	p.Interval = cmp.Or(p.Interval, interval)
	p.Timeout = cmp.Or(p.Timeout, steady.DefaultProbeTimeout)
	p.Deadline = cmp.Or(p.Deadline, steady.DefaultProbeDeadline)
	p.Rise = cmp.Or(p.Rise, steady.DefaultProbeRise)
	if p.Kind == steady.ProbeRunning || p.Kind == steady.ProbeExposed {
		settle := steady.DefaultSettle
		if p.Kind == steady.ProbeExposed {
			settle = steady.DefaultExposedSettle
		}
		p.Settle = cmp.Or(p.Settle, settle)
		p.Deadline = max(p.Deadline, p.Settle+p.Timeout) // it cannot settle sooner
	}
	return p
}

// attempt is one call of Ready.
type attempt struct {
	*Prober
	name     string
	probe    steady.Probe
	began    time.Time
	replica  steady.Replica // as first seen
	restarts int            // when first seen
	again    bool           // it has died before
	reach    *reaching      // nil: the probe itself is asked
	heard    tally
}

// run finds the replica, then asks it and watches its container until one of them
// knows.
func (a *attempt) run(ctx context.Context, stop context.CancelCauseFunc) (string, error) {
	if err := a.locate(ctx); err != nil {
		return "", err
	}
	q, err := a.question()
	if err != nil {
		return "", err
	}
	var watching sync.WaitGroup
	watching.Go(func() { stop(a.watch(ctx)) })
	defer watching.Wait()
	defer stop(nil)
	return a.rise(ctx, q)
}

// rise asks until there are enough good answers in a row. One question at a time.
func (a *attempt) rise(ctx context.Context, q question) (string, error) {
	good := 0
	for {
		asked := time.Now()
		ans, err := a.ask(ctx, q)
		if err != nil {
			return "", err
		}
		a.heard.note(ans)
		pause := a.probe.Interval
		if ans.good {
			good++
			pause = min(pause, q.pause)
		} else {
			good = 0
		}
		if good >= q.rise {
			return ans.text, nil
		}
		if err := wait(ctx, max(pause-time.Since(asked), risePause)); err != nil {
			return "", err
		}
	}
}

// ask puts the question once, within the probe's timeout.
func (a *attempt) ask(ctx context.Context, q question) (answer, error) {
	timed, cancel := context.WithTimeout(ctx, a.probe.Timeout)
	defer cancel()
	ans, err := q.ask(timed)
	if ctx.Err() != nil { // it was cut short, and says nothing about the replica
		return answer{}, context.Cause(ctx)
	}
	return ans, err
}

// wait pauses for d; the error is why ctx ended before.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
