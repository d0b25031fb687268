package cli

import (
	"context"
	"fmt"
	"os"

	"gesalpai.ch/steady/internal/daemon"
	"gesalpai.ch/steady/internal/proxy"
)

func (s *session) runDaemon(ctx context.Context, f serviceFlags, socketGiven bool) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program for the proxy: %w", err)
	}
	socket := "" // beside the other sockets
	if socketGiven || s.getenv("STEADY_SOCKET") != "" {
		socket = s.shared.socket
	}
	return daemon.Run(ctx, daemon.Options{
		StateDir: f.stateDir, RunDir: f.runDir, Socket: socket,
		DockerHost: s.getenv("DOCKER_HOST"), Version: buildVersion(),
		ProxyCommand: append([]string{self, "proxy"}, f.arguments()...),
		CrashAt:      s.getenv("STEADY_CRASH_AT"),
		Log:          f.logger(s.err),
		Stderr:       s.err,
	})
}

func (s *session) runProxy(ctx context.Context, f serviceFlags) error {
	inherited, err := proxy.Inherited(os.Environ())
	if err != nil {
		return err
	}
	p, err := proxy.New(proxy.Options{
		Inherited: inherited,
		Socket:    daemon.ProxySocket(f.runDir), TableFile: daemon.TableFile(f.stateDir), Log: f.logger(s.err),
	})
	if err != nil {
		return err
	}
	return p.Run(ctx)
}
