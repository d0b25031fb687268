package rollout

import (
	"context"
	"time"

	"gesalpai.ch/steady"
)

// undoAgain is after how long a step of an undo that failed is tried again. An undo
// has no way back of its own: what an Engine refuses once must not leave two
// releases standing.
var undoAgain = []time.Duration{100 * time.Millisecond, time.Second}

// again takes a step, and in an undo tries it again where it failed.
func (r *run) again(ctx context.Context, s steady.Step) error {
	err := r.one(ctx, s)
	for _, wait := range undoAgain {
		if err == nil || r.State != steady.RolloutUndoing || ctx.Err() != nil {
			return err
		}
		r.engine.Log.Warn("step of an undo is tried again", "rollout", r.ID, "step", s.ID, "err", err)
		if pause(ctx, wait) != nil {
			return err
		}
		err = r.one(ctx, s)
	}
	return err
}
