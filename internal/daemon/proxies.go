package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
	"gesalpai.ch/steady/internal/proxy"
)

// How the proxy is looked after.
const (
	proxyStartWithin = 10 * time.Second
	proxyAskEvery    = 250 * time.Millisecond
	proxyAskFor      = 2 * time.Second
)

// proxies makes sure that a proxy runs. The proxy is a process of its own that
// outlives the daemon: when the daemon dies, nobody outside notices.
type proxies struct {
	client  *proxy.Client
	keeper  *keeper
	command []string
	stderr  io.Writer // a file, where the proxy can write when the daemon is gone
	log     *slog.Logger
	died    chan struct{}               // one of ours has; holds one
	given   func(context.Context) error // follows the giving of listeners; nil: nothing does
	stdout  io.Writer                   // of the access log, where it goes to standard output

	last     atomic.Int64 // process id of the proxy that answered last
	restarts atomic.Int64 // how often it was another than before
}

// Run starts the proxy again whenever it has died, and gives the listeners kept to
// one that something else has started.
func (p *proxies) Run(ctx context.Context) error {
	tick := time.NewTicker(proxyAskEvery)
	defer tick.Stop()
	last := p.pid(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.died:
		case <-tick.C:
		}
		pid := p.pid(ctx)
		if pid > 0 && pid != last {
			last = pid
			if err := p.give(ctx); err != nil && ctx.Err() == nil {
				p.log.Warn("give the listeners kept to another proxy", "pid", pid, "err", err)
			}
		}
		if pid > 0 || ctx.Err() != nil {
			continue
		}
		p.log.Warn("the proxy does not answer: starting it again")
		if err := p.ensure(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("start the proxy", "err", err)
		}
	}
}

// give gives another proxy the listeners kept; what it could not have may have got
// another port, so the router looks at it anew.
func (p *proxies) give(ctx context.Context) error {
	err := p.keeper.give(ctx)
	if p.given != nil {
		err = errors.Join(err, p.given(ctx))
	}
	return err
}

// pid is the proxy's process id, 0 when none answers.
func (p *proxies) pid(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, proxyAskFor)
	defer cancel()
	pid, err := p.client.Ping(ctx)
	if err != nil {
		return 0
	}
	if was := p.last.Swap(int64(pid)); was != 0 && was != int64(pid) {
		p.restarts.Add(1)
	}
	return pid
}

// ensure returns once a proxy answers, starting one where none does.
func (p *proxies) ensure(ctx context.Context) error {
	if p.pid(ctx) > 0 {
		return nil
	}
	if len(p.command) == 0 {
		return steady.ErrNoProxy.With("no proxy answers, and none may be started", "steady proxy")
	}
	exited, err := p.spawn()
	if err != nil {
		return fmt.Errorf("start %s: %w", p.command[0], err)
	}
	end := time.NewTimer(proxyStartWithin)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if p.pid(ctx) > 0 {
				return nil
			}
		case err := <-exited:
			return steady.ErrNoProxy.With(fmt.Sprintf("the proxy ended at once: %v", err), "see the daemon's log")
		case <-end.C:
			return steady.ErrNoProxy.With(fmt.Sprintf("the proxy did not answer within %s", proxyStartWithin), "see the daemon's log")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// spawn starts the proxy in a session of its own, so that no signal meant for the
// daemon reaches it. The goroutine reaps it; it ends with the proxy or with us.
func (p *proxies) spawn() (<-chan error, error) {
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Stderr, cmd.Stdout = p.stderr, p.stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	listen.Bequeath(cmd, p.keeper.handles())
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() {
		exited <- cmd.Wait()
		select {
		case p.died <- struct{}{}:
		default:
		}
	}()
	return exited, nil
}
