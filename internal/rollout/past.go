package rollout

import (
	"context"

	"gesalpai.ch/steady"
)

// remembered is how many rollouts a plan looks back.
const remembered = 50

// past lists the receipts of the project's last rollouts that were done, newest
// first. What a plan tells of them is no reason to fail.
func (e *Engine) past(ctx context.Context, project string) []steady.Receipt {
	all, err := e.Journal.Rollouts(ctx, project, remembered)
	if err != nil {
		e.Log.Warn("read the last rollouts", "project", project, "err", err)
	}
	var out []steady.Receipt
	for _, r := range all {
		if r.State == steady.RolloutDone && r.Receipt != nil {
			out = append(out, *r.Receipt)
		}
	}
	return out
}
