// Command queue is the stack's message queue: NATS with JetStream on a volume.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"gesalp.example/stack/internal/queue"
	"gesalp.example/stack/internal/service"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "health" {
		os.Exit(service.Check("http://127.0.0.1:8222/healthz"))
	}
	if err := run(); err != nil {
		slog.Error("stopped", "err", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s, err := queue.New(queue.Settings{
		Dir: "/data", Name: "queue-" + os.Getenv("RELEASE"), Port: 4222, HTTPPort: 8222, Log: true,
	})
	if err != nil {
		return err
	}
	return s.Run(ctx, nil)
}
