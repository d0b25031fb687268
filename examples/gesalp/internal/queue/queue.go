// Package queue is a NATS server with JetStream, from NATS' own module.
package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Settings of a server. Port -1 chooses a free one.
type Settings struct {
	Dir      string // where streams are kept
	Name     string
	Host     string // empty: all addresses
	Port     int
	HTTPPort int // monitoring, /healthz; 0: none
	Log      bool
}

// Server is a queue that runs until its Run ends.
type Server struct{ nats *server.Server }

// New sets a server up; Run starts it.
func New(s Settings) (*Server, error) {
	nats, err := server.NewServer(&server.Options{
		ServerName: s.Name, Host: s.Host, Port: s.Port, HTTPHost: s.Host, HTTPPort: s.HTTPPort,
		JetStream: true, StoreDir: s.Dir,
		SyncAlways: true, // a job that was accepted survives a power cut
		NoSigs:     true, // signals are the caller's
		NoLog:      !s.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("set up NATS: %w", err)
	}
	if s.Log {
		nats.ConfigureLogger()
	}
	return &Server{nats}, nil
}

// Run serves until ctx ends, then writes what it has to disk and returns. ready
// is told the URL once clients are taken.
func (s *Server) Run(ctx context.Context, ready func(url string)) error {
	s.nats.Start()
	defer s.nats.WaitForShutdown()
	defer s.nats.Shutdown()
	const patience = 60 * time.Second // a large store takes a while to read
	if !s.nats.ReadyForConnections(patience) {
		return errors.New("NATS is not ready")
	}
	if ready != nil {
		ready(s.nats.ClientURL())
	}
	<-ctx.Done()
	return nil
}
