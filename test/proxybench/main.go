// Command proxybench compares the throughput of steady's proxy with nginx's and
// Caddy's, on the same backend, with the same load, in one run, and tells the
// proxy's resident memory. Figures are ratios of medians: absolute ones say more
// about the machine.
//
//	go run ./test/proxybench [-rounds 5] [-for 3s] [-proxy-cmd "steady proxy --run-dir {}"]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	role := flag.String("role", "", "for its own children: backend or proxy")
	dir := flag.String("run-dir", "", "for its own children")
	b := bench{}
	flag.IntVar(&b.rounds, "rounds", 5, "rounds, interleaved")
	flag.DurationVar(&b.span, "for", 3*time.Second, "load of one proxy in one round")
	flag.IntVar(&b.conns, "connections", 64, "keep-alive connections of the load")
	flag.IntVar(&b.size, "size", 1024, "bytes of an answer's body")
	flag.StringVar(&b.proxyCmd, "proxy-cmd", "", "command that runs the proxy, {} is its run directory; empty: the proxy package in this program")
	flag.BoolVar(&b.check, "check", false, "exit 1 where a goal is missed")
	flag.StringVar(&b.profile, "profile", "", "`file` for a CPU profile of the proxy (not with -proxy-cmd)")
	front := flag.Bool("front", false, "compare nginx before the proxy with nginx alone instead")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case *role == "backend":
		err = serveBackend(ctx, b.size)
	case *role == "proxy":
		err = serveProxy(ctx, *dir, b.profile)
	case *front:
		err = b.runFront(ctx)
	default:
		err = b.run(ctx)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "proxybench:", err)
		os.Exit(1)
	}
}
