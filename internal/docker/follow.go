package docker

import (
	"context"
	"errors"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// follower reads the logs of all containers that a query is about, one goroutine
// each, and hands the lines to one place.
type follower struct {
	engine  *Engine
	query   steady.LogQuery
	lines   chan told
	ended   chan string // container ID of a reader that came to its end
	readers sync.WaitGroup

	// By container ID, of the goroutine that looks and says.
	reading map[string]bool
	again   map[string]bool      // it may have started again before its reader came to an end
	last    map[string]time.Time // of its last line, or when it was first read
	begun   bool                 // those that were there at first have been found
}

// told is a line and the ID of the container that wrote it.
type told struct {
	id   string
	line steady.LogLine
}

// followAll lets the Engine's events say when to look for containers, and says the
// lines until ctx ends.
func (e *Engine) followAll(ctx context.Context, q steady.LogQuery, say func(steady.LogLine) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	f := &follower{engine: e, query: q, lines: make(chan told), ended: make(chan string),
		reading: map[string]bool{}, again: map[string]bool{}, last: map[string]time.Time{}}
	look := make(chan struct{}, 1)
	f.readers.Go(func() {
		_ = e.Watch(ctx, func(c Change) { // its error is ctx's
			if c.What == Relist || c.Project == q.Project && c.What == "start" {
				select {
				case look <- struct{}{}:
				default: // a look is due anyway
				}
			}
		})
	})
	defer f.readers.Wait()
	defer cancel(nil)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-look:
			if err := f.look(ctx); err != nil {
				return err
			}
		case id := <-f.ended:
			if err := f.end(ctx, id); err != nil {
				return err
			}
		case t := <-f.lines:
			f.last[t.id] = t.line.Time
			if err := say(t.line); err != nil {
				return err
			}
		}
	}
}

// look starts a reader for each container that has none. The query's tail and
// since are about those that are there at first.
func (f *follower) look(ctx context.Context) error {
	srcs, err := f.engine.sources(ctx, f.query)
	if errors.Is(err, steady.ErrNoEngine) { // the events will say when it is back
		return nil
	}
	if err != nil {
		return err
	}
	for _, src := range srcs {
		if f.reading[src.id] {
			f.again[src.id] = true
			continue
		}
		r := reading{tail: -1, follow: true}
		at, known := f.last[src.id]
		switch {
		case known:
			r.since = at.Add(1)
		case !f.begun:
			r.tail, r.since = f.query.Tail, f.query.Since
		}
		if !known {
			f.last[src.id] = time.Now()
		}
		f.reading[src.id] = true
		f.readers.Go(func() { f.read(ctx, src, r) })
	}
	f.begun = true
	return nil
}

// end notes that a reader came to its end.
func (f *follower) end(ctx context.Context, id string) error {
	delete(f.reading, id)
	if !f.again[id] {
		return nil
	}
	delete(f.again, id)
	return f.look(ctx)
}

// read reads one container's log until the container stops.
func (f *follower) read(ctx context.Context, src source, r reading) {
	err := f.engine.read(ctx, src, r, func(l steady.LogLine) error {
		select {
		case f.lines <- told{src.id, l}:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, steady.ErrNoReplica) {
		f.engine.log.Warn("log cannot be read", "replica", src.line.Replica, "err", err)
	}
	select {
	case f.ended <- src.id:
	case <-ctx.Done():
	}
}
