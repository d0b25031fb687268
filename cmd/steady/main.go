// Command steady deploys a Compose file without losing a request.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"gesalpai.ch/steady/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	code := cli.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
