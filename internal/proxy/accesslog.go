package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// AccessLog says where a line about every HTTP request goes. The zero value is
// nowhere.
type AccessLog struct {
	Path   string    // of the file; made 0640, and opened anew by Reopen
	Writer io.Writer // instead of a file
	Format string    // AccessJSON or AccessCombined; empty: AccessJSON
	Query  bool      // with query strings, which may hold secrets
}

func (o AccessLog) on() bool { return o.Path != "" || o.Writer != nil }

func (o AccessLog) validate() error {
	switch o.Format {
	case "", AccessJSON, AccessCombined:
		return nil
	}
	return fmt.Errorf("proxy: no format %q of the access log", o.Format)
}

const (
	// accessRoom is how much may wait to be written, in bytes: what finds no room is
	// dropped and counted, as no request waits for the disk.
	accessRoom = 4 << 20
	// accessGather is how long lines are gathered for one write.
	accessGather = 50 * time.Millisecond
	// accessLastWrite bounds the last write, at the end.
	accessLastWrite = 2 * time.Second
)

// accessLog gathers lines and has one goroutine write them, whole lines at a time.
type accessLog struct {
	opts    AccessLog
	log     *slog.Logger
	pool    sync.Pool     // of *[]byte, lines being made
	wake    chan struct{} // holds one token when lines wait
	again   chan struct{} // holds one when the file is to be opened anew
	stop    chan struct{}
	stopped chan struct{}
	written atomic.Int64 // lines
	dropped atomic.Int64

	mu      sync.Mutex
	pending []byte

	// Of the goroutine that writes.
	out    io.Writer
	spare  []byte
	torn   bool // the last write ended within a line
	failed bool // the last write failed, and it has been said
}

func newAccessLog(o AccessLog, log *slog.Logger) *accessLog {
	l := &accessLog{
		opts: o, log: log, out: o.Writer,
		wake: make(chan struct{}, 1), again: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	l.pool.New = func() any { b := make([]byte, 0, 512); return &b }
	return l
}

// add takes the line of an exchange that is over. It never waits for a write.
func (l *accessLog) add(x *exchange) {
	e := x.entry(l.opts.Query)
	buf := l.pool.Get().(*[]byte)
	if l.opts.Format == AccessCombined {
		*buf = e.combined((*buf)[:0])
	} else {
		*buf = e.json((*buf)[:0])
	}
	l.put(*buf)
	l.pool.Put(buf)
}

func (l *accessLog) put(line []byte) {
	l.mu.Lock()
	first := len(l.pending) == 0
	fits := len(l.pending)+len(line) <= accessRoom
	if fits {
		l.pending = append(l.pending, line...)
	}
	l.mu.Unlock()
	if !fits {
		l.dropped.Add(1)
		return
	}
	if first {
		token(l.wake)
	}
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run writes until end is called.
func (l *accessLog) run() {
	defer close(l.stopped)
	l.open()
	gather := time.NewTimer(0)
	defer gather.Stop()
	for {
		select {
		case <-l.stop:
			l.flush()
			l.closeFile()
			return
		case <-l.again:
			l.closeFile()
			l.open()
			continue
		case <-l.wake:
		}
		gather.Reset(accessGather)
		select {
		case <-gather.C:
		case <-l.stop:
		}
		l.flush()
	}
}

// end writes what waits and stops. A writer that blocks is left behind.
func (l *accessLog) end() {
	close(l.stop)
	late := time.NewTimer(accessLastWrite)
	defer late.Stop()
	select {
	case <-l.stopped:
	case <-late.C:
		l.log.Error("access log does not take its last lines", "path", l.opts.Path)
	}
}

// open opens the file. Where that fails the proxy serves on, and the next lines
// try again.
func (l *accessLog) open() {
	if l.opts.Path == "" {
		return
	}
	f, err := os.OpenFile(l.opts.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		l.say("open access log", err)
		return
	}
	l.out, l.torn = f, false
}

func (l *accessLog) closeFile() {
	if c, ok := l.out.(io.Closer); ok && l.opts.Path != "" {
		_ = c.Close()
		l.out = nil
	}
}

// flush writes all that waits in one write.
func (l *accessLog) flush() {
	l.mu.Lock()
	lines := l.pending
	l.pending = l.spare[:0]
	l.mu.Unlock()
	l.spare = lines[:0]
	if len(lines) == 0 {
		return
	}
	if l.out == nil {
		l.open()
	}
	if l.out == nil {
		l.dropped.Add(int64(bytes.Count(lines, newline)))
		return
	}
	if l.torn { // so that one line is torn, not two
		lines = append([]byte{'\n'}, lines...)
	}
	n, err := l.out.Write(lines)
	l.count(lines, n)
	if err != nil {
		l.say("write access log", err)
		return
	}
	l.failed = false
}

var newline = []byte{'\n'}

// count tells the lines that were written, of which n bytes were, from those that
// were not.
func (l *accessLog) count(lines []byte, n int) {
	whole, lost := bytes.Count(lines[:n], newline), bytes.Count(lines[n:], newline)
	switch { // the line end before them is none of theirs
	case l.torn && n > 0:
		whole--
	case l.torn:
		lost--
	}
	l.written.Add(int64(whole))
	l.dropped.Add(int64(lost))
	if n > 0 {
		l.torn = lines[n-1] != '\n'
	}
}

// say logs the first of several failures.
func (l *accessLog) say(doing string, err error) {
	if !l.failed {
		l.log.Error(doing, "path", l.opts.Path, "err", err)
	}
	l.failed = true
}

// Reopen opens the access log's file anew, where there is one: call it when the
// file has been renamed. Lines go to the old file or to the new, none to neither.
func (p *Proxy) Reopen() {
	if p.access != nil {
		token(p.access.again)
	}
}

// WritableAccessLog says why an access log at path could not be written to, nil
// where it can.
func WritableAccessLog(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("open access log: %w", err)
	}
	return errors.Join(f.Close())
}
