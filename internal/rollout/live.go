package rollout

import (
	"fmt"
	"slices"

	"gesalpai.ch/steady"
)

// Live is a rollout as its worker knows it, which may be ahead of the store.
type Live struct {
	steady.Rollout                // its Unstored says what the store lacks
	Events         []steady.Event // that the store lacks, in order, numbered as they will be there
	Ends           bool           // nothing follows before the store can be written: see Last
}

// Live tells of a rollout that has not ended, or whose end is not stored yet.
func (e *Engine) Live(id int64) (Live, bool) {
	e.mu.Lock()
	r, ok := e.runs[id]
	e.mu.Unlock()
	if !ok {
		return Live{}, false
	}
	var out Live
	why := r.backlog.reason()
	if why != nil { // first: a rollout is in its last state before its end is told
		out.Events, out.Ends = r.backlog.events()
	}
	e.mu.Lock()
	out.Rollout = r.Rollout
	e.mu.Unlock()
	if why != nil {
		out.Unstored = unstored(out.Rollout, why)
	}
	return out, true
}

// Unstored lists a project's rollouts that the store does not have as they are, oldest
// first.
func (e *Engine) Unstored(project string) []int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []int64
	for id, r := range e.runs {
		if r.Project == project && r.backlog.behind() {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// unstored says of a rollout that the store does not have it as it is.
func unstored(r steady.Rollout, why *steady.Error) *steady.Error {
	text := fmt.Sprintf("rollout %d of %s is being taken back, and waits for the store: %s", r.ID, r.Project, why.Text)
	if r.Final() {
		text = fmt.Sprintf("rollout %d of %s has ended (%s), and its end is not stored yet: %s", r.ID, r.Project, r.State, why.Text)
	}
	hint := "the daemon goes on by itself as soon as the store can be written"
	if why.Hint != "" {
		hint = why.Hint + "; " + hint
	}
	return steady.ErrStore.With(text, hint)
}

// Last is what those who follow the rollout are told in the place of an end that is not
// stored yet: its end all the same, or where it waits for the store that it does.
func (l Live) Last() steady.Event {
	e := steady.Event{Kind: steady.EventFailed, State: l.State, Project: l.Project, Rollout: l.ID}
	if n := len(l.Events); n > 0 {
		e.Seq, e.Time = l.Events[n-1].Seq+1, l.Events[n-1].Time
		if l.Events[n-1].Last() {
			e = l.Events[n-1]
		}
	}
	told := *l.Unstored
	if why := e.Error; why != nil {
		told = *why
		told.Code, told.Hint = l.Unstored.Code, l.Unstored.Hint
		if why.Code != steady.ErrStore.Code {
			told.Text = why.Text + "; " + l.Unstored.Text
		}
	}
	e.Error = &told
	return e
}
