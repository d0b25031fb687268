// Command synth-worker makes synthetic rows.
package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/service"
	"gesalp.example/stack/internal/worker"
)

func main() { os.Exit(service.Main(":8003", run)) }

func run(ctx context.Context, env service.Env) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	queue, err := job.Open(env.Lookup("QUEUE_URL"), "synth-worker-"+env.Service.Release)
	if err != nil {
		return err
	}
	defer queue.Close()
	w := &worker.Worker{
		Queue: queue, Name: name, Release: env.Service.Release, Log: env.Log, Patience: 20 * time.Second,
	}

	// Health is answered until the last job is done: a worker that finishes one
	// after SIGTERM is well.
	serving, done := context.WithCancel(context.WithoutCancel(ctx))
	health := make(chan error, 1)
	mux := http.NewServeMux()
	mux.Handle("GET /health", env.Health(w.Ready))
	working, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		health <- env.Service.Run(serving, mux)
		stop() // without its health port it would be taken for dead
	}()
	err = w.Run(working)
	done()
	return errors.Join(err, <-health)
}
