package rollout

import "gesalpai.ch/steady"

// Underway lists the rollouts that have not ended.
func (e *Engine) Underway() []steady.Rollout {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]steady.Rollout, 0, len(e.runs))
	for _, r := range e.runs {
		if !r.Final() { // else only its end is to be stored
			out = append(out, r.Rollout)
		}
	}
	return out
}
