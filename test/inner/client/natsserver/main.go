// Natsserver is a NATS server on port 4222 that answers what is asked on "ask" itself,
// with the question, after DELAY. It keeps its streams in /data.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startWithin is how long the server may take until it takes clients.
const startWithin = time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "natsserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	delay, err := time.ParseDuration(os.Getenv("DELAY"))
	if err != nil {
		return fmt.Errorf("DELAY: %w", err)
	}
	s, err := server.NewServer(&server.Options{Port: 4222, JetStream: true, StoreDir: "/data", NoSigs: true, NoLog: true})
	if err != nil {
		return err
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(startWithin) {
		return fmt.Errorf("not ready after %s", startWithin)
	}
	within, err := nats.Connect("", nats.InProcessServer(s)) // so that the answers depend on no connection
	if err != nil {
		return err
	}
	defer within.Close()
	_, err = within.Subscribe("ask", func(m *nats.Msg) {
		time.AfterFunc(delay, func() { _ = m.Respond(m.Data) })
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
