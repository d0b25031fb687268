package rollout

import (
	"context"
	"time"

	"gesalpai.ch/steady"
)

// What is kept of the log of a replica that an undo removes, and how long reading it
// may hold the undo up.
const (
	keptLines  = 500
	keptBytes  = 64 << 10
	keptOfAll  = 512 << 10 // bytes of all replicas of one rollout
	keptWithin = 5 * time.Second
)

// keepLog keeps what a replica of a failed rollout leaves behind, before an undo
// removes it. Losing it is no reason to fail.
func (r *run) keepLog(ctx context.Context, s steady.Step) {
	if r.State != steady.RolloutUndoing {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keptWithin)
	defer cancel()
	r.mu.Lock()
	room := min(keptBytes, keptOfAll-r.kept)
	r.mu.Unlock()
	c, err := r.engine.Runtime.Replica(ctx, s.Replica)
	if err != nil || room <= 0 || c.Started.IsZero() {
		return // it is gone, or never wrote anything
	}
	lines, err := r.engine.Runtime.Record(ctx, s.Replica, keptLines, room)
	if err == nil {
		for _, l := range lines {
			room -= len(l.Text)
		}
		r.mu.Lock()
		r.kept += min(keptBytes, keptOfAll-r.kept) - room
		r.mu.Unlock()
		err = r.write(ctx, write{what: "log of " + c.Name, do: func(ctx context.Context) error { return r.engine.Journal.KeepLog(ctx, r.ID, c, lines) }})
	}
	if err != nil {
		r.engine.Log.Warn("keep the log of a replica", "rollout", r.ID, "replica", s.Replica, "err", err)
	}
}
