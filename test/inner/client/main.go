// Client runs in a container of the project's network and calls services by
// name. It prints one JSON value on stdout.
//
//	client load -http svc:8000 -tcp svc:7000 -nats nats://queue:4222   until SIGTERM, or -for
//	client kept nats=queue:4222 postgres=db:5432 redis=cache:6379     clients of real libraries, likewise until SIGTERM
//	client lookup NAME…                                               what the names resolve to
//	client dial ADDR…                                                 what comes of a connect
//	client udp ADDR                                                   one datagram, and its answer
//	client bench -direct HOST -held HOST                              what the way by HOST costs
//	client stay                                                       nothing, until SIGTERM
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// atMost ends whatever was forgotten.
const atMost = time.Hour

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("what to do? load, kept, lookup, dial, udp, bench or stay")
	}
	var out any
	var err error
	switch what, rest := args[0], args[1:]; what {
	case "load":
		out, err = fire(ctx, rest)
	case "kept":
		out, err = keep(ctx, rest)
	case "lookup":
		out = lookup(ctx, rest)
	case "dial":
		out = dialAll(ctx, rest)
	case "udp":
		out, err = datagram(ctx, rest)
	case "bench":
		out, err = compare(ctx, rest)
	case "stay":
		<-ctx.Done()
		return nil
	default:
		return fmt.Errorf("%s: no such thing to do", what)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}
