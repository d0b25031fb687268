// Command ollama stands in for Ollama. Like it, it has "serve", and "list", which
// the container's health check runs, so that the real image takes the same one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"gesalp.example/stack/internal/ollama"
	"gesalp.example/stack/internal/service"
)

const addr = ":11434"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "list" {
		os.Exit(service.Check("http://127.0.0.1" + addr + "/api/tags"))
	}
	os.Exit(service.Main(addr, run))
}

func run(ctx context.Context, env service.Env) error {
	takes := 3 * time.Second
	if s := env.Lookup("LOAD_TIME"); s != "" {
		var err error
		if takes, err = time.ParseDuration(s); err != nil {
			return fmt.Errorf("LOAD_TIME: %w", err)
		}
	}
	name := env.Lookup("OLLAMA_MODEL")
	if name == "" {
		name = "stand-in:latest"
	}
	env.Log.Info("loading", "model", name, "takes", takes)
	model, err := ollama.Load(ctx, "/root/.ollama", name, takes)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		return err
	}
	s := &ollama.Server{Model: model, Pace: 20 * time.Millisecond}
	return env.Service.Run(ctx, s.Routes())
}
