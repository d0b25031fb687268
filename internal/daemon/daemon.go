// Package daemon wires all parts and owns all lifetimes. It is the only package
// that knows them all.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gesalpai.ch/steady/internal/api"
	"gesalpai.ch/steady/internal/command"
	"gesalpai.ch/steady/internal/docker"
	"gesalpai.ch/steady/internal/mask"
	"gesalpai.ch/steady/internal/metrics"
	"gesalpai.ch/steady/internal/notify"
	"gesalpai.ch/steady/internal/probe"
	"gesalpai.ch/steady/internal/proxy"
	"gesalpai.ch/steady/internal/rollout"
	"gesalpai.ch/steady/internal/store"
)

// Options say where the daemon keeps what it needs.
type Options struct {
	StateDir   string // the store and the proxy's table: survives a reboot
	RunDir     string // sockets
	Socket     string // of the API; empty: RunDir/steady.sock
	DockerHost string // empty: DOCKER_HOST or the Engine's usual socket
	Version    string // of steady, for `steady version`
	// ProxyCommand starts a proxy in the background for these two directories;
	// it is run where none answers, and it outlives the daemon.
	ProxyCommand []string
	// CrashAt is "<step>:before" or "<step>:after": the process kills itself
	// there. Tests only; from STEADY_CRASH_AT.
	CrashAt string
	Log     *slog.Logger
	Stderr  io.Writer // of the proxy it starts
	Stdout  io.Writer // of the proxy it starts, for an access log that goes there
	// AccessLog is what ProxyCommand asks the proxy for; its counts are nothing here.
	AccessLog proxy.AccessLogStatus
	// KeepImages is how many images of earlier releases of each service stay after a
	// rollout; nil: all.
	KeepImages *int
	Metrics    string // address for Prometheus and health checks; empty: none
}

// ProxySocket is where the proxy of a run directory is controlled.
func ProxySocket(runDir string) string { return filepath.Join(runDir, "proxy.sock") }

// TableFile is where the proxy of a state directory keeps its table.
func TableFile(stateDir string) string { return filepath.Join(stateDir, "table.json") }

// stopWithin is how long all parts together may take to stop.
const stopWithin = 10 * time.Second

// Run runs the daemon until ctx ends. It returns when all its parts have
// stopped; the proxy serves on.
func Run(ctx context.Context, o Options) (err error) {
	if o, err = settled(o); err != nil {
		return err
	}
	stops := stack{log: o.Log}
	defer func() { err = errors.Join(err, stops.unwind()) }()
	p, err := open(o, &stops)
	if err != nil {
		return err
	}
	if err := p.meetProxy(ctx, &stops); err != nil { // first: it serves though all that follows be refused
		return err
	}
	if err := p.openStore(&stops); err != nil {
		return err
	}
	p.start(ctx, &stops)
	o.Log.Info("steady daemon is up", "socket", o.Socket, "state", o.StateDir)
	select {
	case <-ctx.Done():
		return nil
	case failed := <-stops.failed:
		return failed
	}
}

// settled fills in what the options leave to the daemon and makes its directories.
func settled(o Options) (Options, error) {
	if o.Socket == "" {
		o.Socket = filepath.Join(o.RunDir, "steady.sock")
	}
	for _, dir := range []string{o.StateDir, o.RunDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return o, fmt.Errorf("make %s: %w", dir, err)
		}
	}
	return o, checkAccessLog(o.AccessLog)
}

// parts are what the daemon is made of before it starts anything.
type parts struct {
	Options
	api     net.Listener
	watched monitorAddr
	store   *store.Store
	private *mask.Set
	engine  *docker.Engine
	keep    *keeper
	front   *proxies
}

// open opens the sockets, and has each closed in the end.
func open(o Options, stops *stack) (p *parts, err error) {
	p = &parts{Options: o}
	if p.api, err = api.Listen(o.Socket); err != nil { // first: it also says whether another daemon runs
		return p, err
	}
	stops.push("api socket", func(context.Context) error { return closed(p.api.Close()) })
	if p.watched, err = listenMonitor(o); err != nil {
		return p, err
	}
	stops.push("metrics socket", func(context.Context) error { return p.watched.close() })
	return p, nil
}

// openStore opens the store, and what needs its secrets to keep them. One that is damaged is moved aside, as its contents
// cannot be had and what serves can be recovered without it; any other that cannot be
// opened is left to a person.
func (p *parts) openStore(stops *stack) (err error) {
	path := filepath.Join(p.StateDir, "steady.db")
	p.store, err = store.Open(path)
	if store.Damaged(err) {
		dir, aside := store.MoveAside(path)
		if aside != nil {
			return errors.Join(err, aside)
		}
		p.Log.Error("the store was damaged and moved aside: the history of releases and rollouts, locks and notices to be sent are lost to this daemon",
			"store", path, "aside", dir, "err", err)
		p.store, err = store.Open(path)
	}
	if err != nil {
		return err
	}
	stops.push("store", func(context.Context) error { return p.store.Close() })
	p.private = privateIn(p.store)
	p.Log = slog.New(p.private.Log(p.Log.Handler()))
	p.front.log = p.Log
	return p.openEngine(stops)
}

// openEngine prepares to talk to the Engine.
func (p *parts) openEngine(stops *stack) (err error) {
	if p.engine, err = docker.New(docker.Options{Host: p.DockerHost, Log: p.Log}); err != nil {
		return err
	}
	stops.push("engine client", func(context.Context) error { return p.engine.Close() })
	return nil
}

// meetProxy makes sure of a proxy and takes copies of its listeners.
func (p *parts) meetProxy(ctx context.Context, stops *stack) error {
	p.keep = &keeper{proxy: proxy.NewClient(ProxySocket(p.RunDir))}
	stops.push("kept listeners", func(context.Context) error { p.keep.close(); return nil })
	p.front = &proxies{client: p.keep.proxy, keeper: p.keep, command: p.ProxyCommand, stderr: p.Stderr, stdout: p.Stdout, log: p.Log, died: make(chan struct{}, 1)}
	if err := p.front.ensure(ctx); err != nil {
		return err
	}
	p.front.compareAccessLog(ctx, p.AccessLog)
	return p.keep.refresh(ctx)
}

// start wires the rest to what is open and starts it.
func (p *parts) start(ctx context.Context, stops *stack) {
	b := &backend{store: p.store, private: p.private, engine: p.engine, proxy: p.front, meter: docker.NewMeter(p.engine), version: p.Version}
	numbers := metrics.New(p.Version, b.snapshot, p.Log)
	rt := newRouter(p.store, p.engine, p.keep, p.Log)
	rt.lost = &recovery{store: p.store, engine: p.engine, log: p.Log}
	pr := probe.New(p.engine, nil)
	b.notifier = notify.New(p.store, command.Host{}, numbers.Notification, p.Log)
	ro := rollout.New(p.engine, rt, pr, masked{journal{p.store, numbers.Rollout, b.tell}, p.private}, p.Log)
	ro.Crash, ro.Leases, ro.Host = crashAt(p.CrashAt), p.store, command.Host{}
	ro.KeepImages = p.KeepImages
	rec := &reconciler{router: rt, engine: p.engine, prober: pr, log: p.Log}
	rec.mender = newMender(p, rt, ro, rec.refresh)
	p.front.given = func(ctx context.Context) error { rt.meetProxy(); return rec.refresh(ctx) }
	b.router, b.rollouts = rt, ro

	rt.recoverFirst(ctx) // before anybody can ask for anything
	stops.start("reconciler", rec.Run)
	stops.start("mender", rec.mender.Run)
	stops.start("proxy watch", p.front.Run)
	stops.start("notifications", b.notifier.Run)
	stops.start("rollouts", func(ctx context.Context) error {
		if err := rt.awaitRecovered(ctx); err != nil {
			return nil
		}
		return ro.Run(ctx)
	})
	stops.start("gates", (&gatekeeper{store: rt, rollouts: ro, proxy: p.keep.proxy, log: p.Log}).Run)
	stops.start("meter", b.meter.Run)
	stops.start("metrics", func(ctx context.Context) error { return p.watched.serve(ctx, b.monitor(numbers)) })
	srv := &http.Server{Handler: api.Audited(api.Handler(b, p.Log), p.store, p.Log), ConnContext: api.ConnContext, ReadHeaderTimeout: 10 * time.Second}
	stops.start("api", func(ctx context.Context) error { return serve(ctx, srv, p.api) })
}

// serve serves the API until ctx ends; streams end with it, as their clients
// come back to the next daemon by themselves.
func serve(ctx context.Context, srv *http.Server, ln net.Listener) error {
	srv.BaseContext = func(net.Listener) context.Context { return ctx }
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// crashAt makes the hook that kills the process at a step, as a power cut would.
func crashAt(at string) func(step, when string) {
	step, when, ok := strings.Cut(at, ":")
	if !ok {
		return nil
	}
	return func(s, w string) {
		if s == step && w == when {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

var _ api.Backend = (*backend)(nil)
var _ rollout.Router = (*router)(nil)
var _ rollout.Host = command.Host{}
