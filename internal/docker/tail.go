package docker

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// Tail gives the container's last n log lines, oldest first.
func (e *Engine) Tail(ctx context.Context, name string, n int) ([]string, error) {
	c, err := e.inspect(ctx, name)
	if err != nil {
		return nil, err
	}
	if n <= 0 {
		return nil, nil
	}
	var got []steady.LogLine
	src := source{id: c.ID, tty: c.Config.Tty, line: steady.LogLine{Replica: name}}
	err = e.read(ctx, src, reading{tail: n}, func(l steady.LogLine) error {
		got = append(got, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The streams come one behind the other where a container wrote to both at once.
	slices.SortStableFunc(got, func(a, b steady.LogLine) int { return a.Time.Compare(b.Time) })
	out := make([]string, len(got))
	for i, l := range got {
		out[i] = l.Text
	}
	return out, nil
}

// source is one container's log, and what its lines have in common.
type source struct {
	id   string
	tty  bool
	line steady.LogLine
}

// reading says which part of a log to read.
type reading struct {
	tail   int // below 0: all
	since  time.Time
	follow bool
}

// read says the lines of one container's log; with follow until the container
// stops.
func (e *Engine) read(ctx context.Context, src source, r reading, say func(steady.LogLine) error) error {
	o := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: r.follow, Tail: "all"}
	if r.tail >= 0 {
		o.Tail = strconv.Itoa(r.tail)
	}
	if !r.since.IsZero() {
		o.Since = r.since.UTC().Format("2006-01-02T15:04:05.000000000Z07:00")
	}
	body, err := e.api.ContainerLogs(ctx, src.id, o)
	if gone(err) {
		return noReplica(src.line.Replica)
	}
	if err != nil {
		return e.fail("read the log of "+src.line.Replica, err)
	}
	defer body.Close()
	l := &lines{of: src.line, say: say}
	if err := l.read(body, src.tty); err != nil {
		return e.fail("read the log of "+src.line.Replica, err)
	}
	return nil
}
