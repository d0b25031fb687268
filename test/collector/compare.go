package collector

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gesalpai.ch/steady/test/load"
)

// shown is how many ids of a kind a verdict prints.
const shown = 10

// Verdict is what both sides together say.
type Verdict struct {
	Answered int            `json:"answered"` // requests with a complete answer, streams with a first message
	Logged   int            `json:"logged"`   // ids of this run in the log
	Unlogged []string       `json:"unlogged"` // answered as they should be, but logged by nobody
	Doubled  []string       `json:"doubled"`  // logged more than once: done twice
	Orphaned []string       `json:"orphaned"` // lost for the client, but logged: done, and the answer was lost
	Vanished []string       `json:"vanished"` // lost for the client, and logged by nobody
	By       map[string]int `json:"by"`       // ids of this run, by container
}

// Clean says that every good answer was logged exactly once and nothing twice.
// What the client lost is the report's to say.
func (v Verdict) Clean() bool { return len(v.Unlogged) == 0 && len(v.Doubled) == 0 }

// Compare holds the report against what was logged so far; Await first.
func (c *Collector) Compare(r load.Report) Verdict {
	v := Verdict{By: map[string]int{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	v.Answered = len(r.Answers())
	for _, a := range r.Answers() {
		if id := r.ID(a); a.OK && c.ids[id] == nil {
			v.Unlogged = append(v.Unlogged, id)
		}
	}
	for _, l := range r.AllLosses() {
		switch {
		case l.Phase == load.Cut: // was answered before
		case c.ids[l.ID] == nil:
			v.Vanished = append(v.Vanished, l.ID)
		default:
			v.Orphaned = append(v.Orphaned, l.ID)
		}
	}
	for id, e := range c.ids {
		if !strings.HasPrefix(id, r.Run+"-") {
			continue
		}
		v.Logged++
		for _, name := range e.by {
			v.By[name]++
		}
		if len(e.by) > 1 {
			v.Doubled = append(v.Doubled, id)
		}
	}
	slices.Sort(v.Doubled)
	return v
}

// Await waits until every good answer of the report is logged and then no line
// has come for quiet, so that a second line of an id would have come too; or
// until ctx ends, which is its error.
func (c *Collector) Await(ctx context.Context, r load.Report, quiet time.Duration) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		missing, since := c.missing(r)
		if missing == 0 && since >= quiet {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("await the log lines: %d answers not logged: %w", missing, ctx.Err())
		case <-tick.C:
		}
	}
}

// missing counts good answers not logged, and says how long no line has come.
func (c *Collector) missing(r load.Report) (n int, since time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range r.Answers() {
		if a.OK && c.ids[r.ID(a)] == nil {
			n++
		}
	}
	return n, time.Since(c.last)
}

// String prints the counts, and the first ids of each kind that should be empty.
func (v Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d answered, %d logged, %d unlogged, %d doubled, %d done but lost, %d never arrived\n",
		v.Answered, v.Logged, len(v.Unlogged), len(v.Doubled), len(v.Orphaned), len(v.Vanished))
	for _, name := range slices.Sorted(maps.Keys(v.By)) {
		fmt.Fprintf(&b, "  %-24s %d\n", name, v.By[name])
	}
	for _, kind := range []struct {
		name string
		ids  []string
	}{{"unlogged", v.Unlogged}, {"doubled", v.Doubled}, {"done but lost", v.Orphaned}} {
		if len(kind.ids) > 0 {
			fmt.Fprintf(&b, "  %s: %s\n", kind.name, strings.Join(kind.ids[:min(shown, len(kind.ids))], " "))
		}
	}
	return b.String()
}
