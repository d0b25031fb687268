package docker

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/container"

	"gesalpai.ch/steady"
)

// Logs says the log lines of a project's containers of every state. Without
// Follow they come in the order of their time and Logs returns after the last;
// with Follow it returns when ctx ends (the error is then ctx's), and containers
// that start later are read from their beginning. say is called from one goroutine;
// its error ends Logs and is returned.
func (e *Engine) Logs(ctx context.Context, q steady.LogQuery, say func(steady.LogLine) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if q.Follow {
		return e.followAll(ctx, q, say)
	}
	srcs, err := e.sources(ctx, q)
	if err != nil {
		return err
	}
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	streams := make([]*stream, len(srcs))
	for i, src := range srcs {
		s := &stream{lines: make(chan steady.LogLine)}
		streams[i] = s
		readers.Go(func() {
			defer close(s.lines)
			s.err = e.read(ctx, src, reading{tail: q.Tail, since: q.Since}, func(l steady.LogLine) error {
				select {
				case s.lines <- l:
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			})
		})
	}
	return merge(streams, say)
}

// ahead is how many lines of a container are known before the first of them is
// said: its stdout and stderr reach the log by two ways, so that neighbours may
// stand there the wrong way round.
const ahead = 16

// stream is one container's lines; err may be read once lines is closed.
type stream struct {
	lines chan steady.LogLine
	err   error
	known []steady.LogLine // by time
	ended bool
}

// head is the stream's first unsaid line, if there is one.
func (s *stream) head() (steady.LogLine, bool) {
	for len(s.known) < ahead && !s.ended {
		l, ok := <-s.lines
		if !ok {
			s.ended = true
			break
		}
		i := len(s.known)
		for i > 0 && l.Time.Before(s.known[i-1].Time) {
			i--
		}
		s.known = slices.Insert(s.known, i, l)
	}
	if len(s.known) == 0 {
		return steady.LogLine{}, false
	}
	return s.known[0], true
}

// merge says the lines of several streams in the order of their time. A container
// that goes while it is read, or whose log driver keeps nothing, does not spoil the
// rest.
func merge(streams []*stream, say func(steady.LogLine) error) error {
	var errs []error
	for {
		var first *stream
		var line steady.LogLine
		for _, s := range streams {
			if l, ok := s.head(); ok && (first == nil || l.Time.Before(line.Time)) {
				first, line = s, l
			}
		}
		if first == nil {
			break
		}
		if err := say(line); err != nil {
			return err
		}
		first.known = first.known[1:]
	}
	for _, s := range streams {
		if s.err != nil && !errors.Is(s.err, steady.ErrNoReplica) {
			errs = append(errs, s.err)
		}
	}
	return errors.Join(errs...)
}

// sources lists the containers that a query is about.
func (e *Engine) sources(ctx context.Context, q steady.LogQuery) ([]source, error) {
	listed, err := e.list(ctx, q.Project)
	if err != nil {
		return nil, err
	}
	var out []source
	for _, c := range listed {
		if !asked(q, c) {
			continue
		}
		full, err := e.inspect(ctx, c.ID)
		if errors.Is(err, steady.ErrNoReplica) {
			continue
		}
		if err != nil {
			return nil, err
		}
		r := replicaOf(full)
		out = append(out, source{id: r.ID, tty: full.Config.Tty,
			line: steady.LogLine{Service: r.Service, Release: r.Release, Replica: r.Name}})
	}
	slices.SortFunc(out, func(a, b source) int { return strings.Compare(a.line.Replica, b.line.Replica) })
	return out, nil
}

func asked(q steady.LogQuery, c container.Summary) bool {
	if len(q.Services) > 0 && !slices.Contains(q.Services, c.Labels[labelService]) {
		return false
	}
	return q.Release == 0 || c.Labels[steady.LabelRelease] == strconv.Itoa(q.Release)
}
