// Rig fires the five loads at a URL and prints what was lost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"gesalpai.ch/steady/test/load"
)

const usage = `rig -url http://host:port [flags]: fires five loads at once and prints what was lost

Exit status: 0 nothing was lost · 1 something was, or came from the wrong release · 2 usage

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	o, asJSON, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "rig:", err)
		return 2
	}
	r := load.Run(ctx, o)
	if err := show(stdout, r, asJSON); err != nil {
		fmt.Fprintln(stderr, "rig:", err)
		return 1
	}
	if !r.Clean() || len(r.Judge(r.Ascending()...)) > 0 {
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (o load.Options, asJSON bool, err error) {
	f := flag.NewFlagSet("rig", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() { fmt.Fprint(stderr, usage); f.PrintDefaults() }
	f.StringVar(&o.URL, "url", "", "what to load")
	f.Float64Var(&o.Rate, "rate", 300, "requests per second, all loads together")
	f.DurationVar(&o.Duration, "duration", 30*time.Second, "how long to send; an interrupt ends it earlier")
	f.DurationVar(&o.Timeout, "timeout", 30*time.Second, "of one exchange")
	f.StringVar(&o.Run, "run", "", "first part of the request ids (default drawn)")
	f.IntVar(&o.WebSockets, "ws", 6, "WebSocket streams; below 0 none")
	f.IntVar(&o.SSEs, "sse", 6, "SSE streams; below 0 none")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	if err := f.Parse(args); err != nil {
		return o, false, err
	}
	if f.NArg() > 0 {
		return o, false, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return o, asJSON, o.Validate()
}

func show(w io.Writer, r load.Report, asJSON bool) error {
	if !asJSON {
		_, err := fmt.Fprint(w, r)
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
