package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"gesalpai.ch/steady/internal/daemon"
	"gesalpai.ch/steady/internal/proxy"
)

func (s *session) runDaemon(ctx context.Context, f serviceFlags, metrics string, keepImages int, socketGiven bool) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program for the proxy: %w", err)
	}
	socket := "" // beside the other sockets
	if socketGiven || s.getenv("STEADY_SOCKET") != "" {
		socket = s.shared.socket
	}
	var keep *int
	if keepImages >= 0 {
		keep = &keepImages
	}
	defer outlive(syscall.SIGHUP, syscall.SIGPIPE)()
	return daemon.Run(ctx, daemon.Options{
		KeepImages: keep,
		StateDir:   f.stateDir, RunDir: f.runDir, Socket: socket,
		DockerHost: s.getenv("DOCKER_HOST"), Version: buildVersion(),
		ProxyCommand: append([]string{self, "proxy"}, f.arguments()...),
		CrashAt:      s.getenv("STEADY_CRASH_AT"),
		Log:          f.logger(s.err),
		Stderr:       s.err,
		Stdout:       s.out,
		AccessLog:    f.access.wish(),
		Metrics:      metrics,
	})
}

// outlive keeps signals from ending the process, until it is stopped: SIGHUP when the
// terminal closes that it was started from, SIGPIPE when what read its log has ended. A
// rollout must not end with somebody's connection. They are taken and not ignored, as
// what we start would inherit that.
func outlive(signals ...os.Signal) (stop func()) {
	taken := make(chan os.Signal, 1) // nobody reads it: there is nothing to do
	signal.Notify(taken, signals...)
	return func() { signal.Stop(taken) }
}

func (s *session) runProxy(ctx context.Context, f serviceFlags) error {
	inherited, err := proxy.Inherited(os.Environ())
	if err != nil {
		return err
	}
	p, err := proxy.New(proxy.Options{
		Inherited: inherited,
		Socket:    daemon.ProxySocket(f.runDir), TableFile: daemon.TableFile(f.stateDir), Log: f.logger(s.err),
		Access: f.access.options(s.out),
	})
	if err != nil {
		return err
	}
	defer reopening(p)()
	defer outlive(syscall.SIGPIPE)()
	return p.Run(ctx)
}

// reopening opens the access log anew at SIGHUP or SIGUSR1, as what rotates logs
// sends them, until it is stopped.
func reopening(p *proxy.Proxy) (stop func()) {
	rotated := make(chan os.Signal, 1)
	signal.Notify(rotated, syscall.SIGHUP, syscall.SIGUSR1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range rotated {
			p.Reopen()
		}
	}()
	return func() {
		signal.Stop(rotated)
		close(rotated)
		<-done
	}
}
