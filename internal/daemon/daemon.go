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
	"gesalpai.ch/steady/internal/docker"
	"gesalpai.ch/steady/internal/metrics"
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
	Metrics   string // address for Prometheus and health checks; empty: none
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
	if o.Socket == "" {
		o.Socket = filepath.Join(o.RunDir, "steady.sock")
	}
	for _, dir := range []string{o.StateDir, o.RunDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
	}
	if err := checkAccessLog(o.AccessLog); err != nil {
		return err
	}
	stops := stack{log: o.Log}
	defer func() { err = errors.Join(err, stops.unwind()) }()

	ln, err := api.Listen(o.Socket) // first: it also says whether another daemon runs
	if err != nil {
		return err
	}
	stops.push("api socket", func(context.Context) error { return closed(ln.Close()) })
	watched, err := listenMonitor(o)
	if err != nil {
		return err
	}
	stops.push("metrics socket", func(context.Context) error { return watched.close() })
	st, err := store.Open(filepath.Join(o.StateDir, "steady.db"))
	if err != nil {
		return err
	}
	stops.push("store", func(context.Context) error { return st.Close() })
	eng, err := docker.New(docker.Options{Host: o.DockerHost, Log: o.Log})
	if err != nil {
		return err
	}
	stops.push("engine client", func(context.Context) error { return eng.Close() })

	keep := &keeper{proxy: proxy.NewClient(ProxySocket(o.RunDir))}
	stops.push("kept listeners", func(context.Context) error { keep.close(); return nil })
	front := &proxies{client: keep.proxy, keeper: keep, command: o.ProxyCommand, stderr: o.Stderr, stdout: o.Stdout, log: o.Log, died: make(chan struct{}, 1)}
	if err := front.ensure(ctx); err != nil {
		return err
	}
	front.compareAccessLog(ctx, o.AccessLog)
	if err := keep.refresh(ctx); err != nil {
		return err
	}
	b := &backend{store: st, engine: eng, proxy: front, meter: docker.NewMeter(eng), version: o.Version}
	numbers := metrics.New(o.Version, b.snapshot, o.Log)
	rt := newRouter(st, eng, keep, o.Log)
	pr := probe.New(eng, nil)
	ro := rollout.New(eng, rt, pr, journal{st, numbers.Rollout}, o.Log)
	ro.Crash, ro.Leases = crashAt(o.CrashAt), st
	rec := &reconciler{router: rt, engine: eng, prober: pr, log: o.Log}
	front.given = rec.refresh

	stops.start("reconciler", rec.Run)
	stops.start("proxy watch", front.Run)
	stops.start("rollouts", ro.Run)
	stops.start("meter", b.meter.Run)
	b.router, b.rollouts = rt, ro
	stops.start("metrics", func(ctx context.Context) error { return watched.serve(ctx, b.monitor(numbers)) })
	srv := &http.Server{Handler: api.Audited(api.Handler(b, o.Log), st, o.Log), ConnContext: api.ConnContext, ReadHeaderTimeout: 10 * time.Second}
	stops.start("api", func(ctx context.Context) error { return serve(ctx, srv, ln) })
	o.Log.Info("steady daemon is up", "socket", o.Socket, "state", o.StateDir)

	select {
	case <-ctx.Done():
		return nil
	case failed := <-stops.failed:
		return failed
	}
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
