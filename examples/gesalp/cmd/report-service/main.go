// Command report-service renders reports of synthetic rows against real ones.
package main

import (
	"context"
	"os"

	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/report"
	"gesalp.example/stack/internal/service"
)

func main() { os.Exit(service.Main(":8002", run)) }

func run(ctx context.Context, env service.Env) error {
	s := &report.Server{
		Release: env.Service.Release, Log: env.Log,
		Ollama: report.Ollama{URL: env.Lookup("OLLAMA_URL"), Model: env.Lookup("OLLAMA_MODEL")},
	}
	if url := env.Lookup("QUEUE_URL"); url != "" {
		queue, err := job.Open(url, "report-service-"+env.Service.Release)
		if err != nil {
			return err
		}
		defer queue.Close()
		s.Jobs = queue
	}
	return env.Service.Run(ctx, s.Routes(env.Health(func() bool { return true })))
}
