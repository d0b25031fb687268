// Command api is the stack's front.
package main

import (
	"context"
	"os"
	"time"

	"gesalp.example/stack/internal/api"
	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/service"
)

func main() { os.Exit(service.Main(":8000", run)) }

func run(ctx context.Context, env service.Env) error {
	local := job.NewLocal(env.Service.Release)
	defer local.Wait() // a job that runs here is finished here
	a := &api.API{
		Local: local, Release: env.Service.Release, Stop: ctx, Log: env.Log, Patient: 5 * time.Second,
		Neighbours: api.Neighbours{Report: env.Lookup("REPORT_URL"), Ollama: env.Lookup("OLLAMA_URL"), Model: env.Lookup("OLLAMA_MODEL")},
	}
	if url := env.Lookup("QUEUE_URL"); url != "" {
		queue, err := job.Open(url, "api-"+env.Service.Release)
		if err != nil {
			return err
		}
		defer queue.Close()
		a.Queue = queue
	}
	// Without the queue jobs run here: it takes no part in the api's health.
	return env.Service.Run(ctx, a.Routes(env.Health(func() bool { return true })))
}
