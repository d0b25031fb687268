package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func running(t *testing.T, o AccessLog) *accessLog {
	t.Helper()
	l := newAccessLog(o, slog.New(slog.DiscardHandler))
	go l.run()
	return l
}

// TestAccessLog_RotatedUnderLoadLosesAndTearsNoLine renames the file and has it
// opened anew while four writers write.
func TestAccessLog_RotatedUnderLoadLosesAndTearsNoLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	l := running(t, AccessLog{Path: path})
	const writers, rotations = 4, 5
	var wg sync.WaitGroup
	var over atomic.Bool
	var put atomic.Int64
	for w := range writers {
		wg.Go(func() {
			for i := 0; !over.Load(); i++ {
				for l.waiting() > accessRoom/2 { // full speed, and not more than has room
					runtime.Gosched()
				}
				l.put(fmt.Appendf(nil, "%d %d %s\n", w, i, strings.Repeat("x", 100)))
				put.Add(1)
			}
		})
	}
	for i := range rotations {
		there(t, path)
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Fatal(err)
		}
		token(l.again)
	}
	there(t, path)
	over.Store(true)
	wg.Wait()
	l.end()
	seen := map[string]bool{}
	files, _ := filepath.Glob(path + "*")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if seen[line] || len(strings.Fields(line)) != 3 || len(strings.Fields(line)[2]) != 100 || !strings.HasSuffix(line, "\n") {
				t.Fatalf("%s: torn or twice: %q", f, line)
			}
			seen[line] = true
		}
	}
	if n := put.Load(); int64(len(seen)) != n || l.written.Load() != n || l.dropped.Load() != 0 {
		t.Errorf("%d lines in %d files, %d written, %d dropped, of %d", len(seen), len(files), l.written.Load(), l.dropped.Load(), n)
	}
	if len(files) != rotations+1 {
		t.Errorf("%d files", len(files))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func (l *accessLog) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending)
}

func there(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not there", path)
		}
	}
}

func TestAccessLog_WhatWaitsAtTheEndIsWritten(t *testing.T) {
	for range 50 { // the end and the lines may be heard of in either order
		var got bytes.Buffer
		l := running(t, AccessLog{Writer: &got})
		l.put([]byte("last\n"))
		l.end()
		if got.String() != "last\n" {
			t.Fatalf("%q", got.String())
		}
	}
}

// stuck is a writer that takes nothing before it is released.
type stuck struct{ release chan struct{} }

func (s stuck) Write(b []byte) (int, error) {
	<-s.release
	return len(b), nil
}

func TestAccessLog_NobodyWaitsForADiskThatBlocksAndDropsAreCounted(t *testing.T) {
	w := stuck{make(chan struct{})}
	l := running(t, AccessLog{Writer: w})
	line := []byte(strings.Repeat("x", 1023) + "\n")
	const n = 3 * accessRoom / 1024
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			l.put(line)
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("a request waits for the disk")
	}
	close(w.release)
	l.end()
	written, dropped := l.written.Load(), l.dropped.Load()
	if dropped == 0 || written+dropped != n {
		t.Errorf("%d written, %d dropped, of %d", written, dropped, n)
	}
}

// full takes a few bytes of each second write, as a disk does that is full.
type full struct {
	got    []byte
	writes int
}

func (f *full) Write(b []byte) (int, error) {
	f.writes++
	if f.writes%2 == 1 {
		f.got = append(f.got, b[:5]...)
		return 5, errors.New("no space left on device")
	}
	f.got = append(f.got, b...)
	return len(b), nil
}

func TestAccessLog_ADiskThatFillsUpTearsOneLineAndNotTheNext(t *testing.T) {
	f := &full{}
	l := newAccessLog(AccessLog{Writer: f}, slog.New(slog.DiscardHandler))
	for range 2 {
		l.put([]byte("one-line\n"))
		l.put([]byte("another-line\n"))
		l.flush()
	}
	if got := string(f.got); got != "one-l\none-line\nanother-line\n" {
		t.Errorf("%q", got)
	}
	if l.written.Load() != 2 || l.dropped.Load() != 2 {
		t.Errorf("%d written, %d dropped", l.written.Load(), l.dropped.Load())
	}
}

func TestAccessLog_AFileThatCannotBeOpenedIsTriedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	l := newAccessLog(AccessLog{Path: filepath.Join(dir, "access.log")}, slog.New(slog.DiscardHandler))
	l.put([]byte("lost\n"))
	l.flush()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.put([]byte("kept\n"))
	l.flush()
	l.closeFile()
	if b, err := os.ReadFile(l.opts.Path); string(b) != "kept\n" || l.dropped.Load() != 1 || l.written.Load() != 1 {
		t.Errorf("%q, %v: %d written, %d dropped", b, err, l.written.Load(), l.dropped.Load())
	}
	if WritableAccessLog(l.opts.Path) != nil || WritableAccessLog(t.TempDir()) == nil {
		t.Error("WritableAccessLog does not tell a file from a directory")
	}
}
