// Rig fires the five loads at a URL and prints what was lost.
//
// Exit status: 0 nothing lost · 1 something was, or nothing could be fired · 2
// usage.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"gesalpai.ch/steady/test/load"
)

func main() {
	var o load.Options
	flag.StringVar(&o.URL, "url", "", "what to load, http://host:port")
	flag.Float64Var(&o.Rate, "rate", 300, "requests per second, all loads together")
	flag.DurationVar(&o.Duration, "duration", 30*time.Second, "how long to send; an interrupt ends it earlier")
	flag.DurationVar(&o.Timeout, "timeout", 30*time.Second, "of one exchange")
	flag.StringVar(&o.Run, "run", "", "first part of the request ids")
	flag.IntVar(&o.WebSockets, "ws", 6, "WebSocket streams, 0 for none")
	flag.IntVar(&o.SSEs, "sse", 6, "SSE streams, 0 for none")
	asJSON := flag.Bool("json", false, "print the report as JSON")
	flag.Parse()
	o.WebSockets, o.SSEs = orNone(o.WebSockets), orNone(o.SSEs)
	if err := o.Validate(); err != nil || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "rig:", err)
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	r := load.Run(ctx, o)
	stop()
	print(r, *asJSON)
	if !r.Clean() || len(r.Judge(r.Ascending()...)) > 0 {
		os.Exit(1)
	}
}

// orNone says none in the options' way: there 0 is the default.
func orNone(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func print(r load.Report, asJSON bool) {
	if !asJSON {
		fmt.Print(r)
		return
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	_ = enc.Encode(r)
}
