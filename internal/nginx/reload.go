package nginx

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gesalpai.ch/steady"
)

const (
	// reloadWithin is how long nginx may take: it tries five times, half a second
	// apart, to bind a port that is taken, and then keeps its old configuration.
	reloadWithin = 10 * time.Second
	reloadPace   = 20 * time.Millisecond
)

// reload has nginx take its configuration up, once, and waits until it did: new
// workers run. False: nginx does not run, and will read it when it is started.
func (h *Host) reload(ctx context.Context, c configuration) (bool, error) {
	master := h.master(ctx, c)
	if master == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, reloadWithin)
	defer cancel()
	tick := time.NewTicker(reloadPace)
	defer tick.Stop()
	before := workers(master)
	for len(before) == 0 && turn(ctx, tick) { // it is starting: its first workers are no sign of a reload
		before = workers(master)
	}
	log, from := h.errorLog(ctx, c)
	if err := signal(master, syscall.SIGHUP); err != nil {
		return false, err
	}
	for {
		for pid := range workers(master) {
			if !before[pid] {
				return true, nil
			}
		}
		said := since(log, from)
		if gaveUp(said) || ctx.Err() != nil {
			e := steady.ErrNginx.With("nginx did not take its new configuration and goes on with the old one", "sudo tail "+log)
			e.Tail = tail(said, 10)
			return false, e
		}
		turn(ctx, tick)
	}
}

// turn waits for the next look; false: ctx has ended.
func turn(ctx context.Context, tick *time.Ticker) bool {
	select {
	case <-tick.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// gaveUp says whether nginx wrote that it will not try again: after the last
// attempt to bind a port (ngx_open_listening_sockets).
func gaveUp(said []string) bool {
	return slices.ContainsFunc(said, func(line string) bool { return strings.Contains(line, "still could not bind()") })
}

// errorLog is nginx's own log and how long it is now.
func (h *Host) errorLog(ctx context.Context, c configuration) (path string, size int64) {
	path = c.first("error_log")
	if path == "" || !filepath.IsAbs(path) {
		path = h.compiled(ctx, "error-log-path")
	}
	if at, err := os.Stat(path); err == nil {
		size = at.Size()
	}
	return path, size
}

// since is what was written to a log from that place on, in lines.
func since(path string, from int64) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(f, 64<<10)) // what could be read says something
	return lines(string(b))
}
