package probe

import (
	"context"
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

// question is what is asked of a replica again and again.
type question struct {
	// ask returns the answer; an error ends the probe.
	ask   func(context.Context) (answer, error)
	rise  int           // good answers in a row that are enough
	pause time.Duration // at most, after a good answer
}

// answer is one answer. For a good one text tells what was answered, "200
// /health"; for a bad one it goes on from the replica's name, "answered 503 on
// /health".
type answer struct {
	good   bool
	text   string
	detail string // last line a command wrote
}

// question makes the question that the probe's kind asks of the replica.
func (a *attempt) question() (question, error) {
	if a.reach != nil {
		return question{ask: a.reach.ask, rise: 1}, nil
	}
	switch a.probe.Kind {
	case steady.ProbeHTTP:
		ask, err := a.askHTTP()
		return question{ask: ask, rise: a.probe.Rise, pause: risePause}, err
	case steady.ProbeTCP:
		return question{ask: a.askTCP, rise: a.probe.Rise, pause: risePause}, nil
	case steady.ProbeExec:
		return question{ask: a.askExec, rise: a.probe.Rise, pause: a.probe.Interval}, nil
	case steady.ProbeDocker: // the Engine has its own count
		return question{ask: a.askHealth, rise: 1}, nil
	case steady.ProbeExposed:
		return a.exposed(), nil
	case steady.ProbeRunning:
		settled := time.Now().Add(a.probe.Settle)
		ask := func(ctx context.Context) (answer, error) { return a.askRunning(ctx, settled) }
		return question{ask: ask, rise: 1, pause: a.probe.Interval}, nil
	}
	return question{}, steady.ErrUnsupported.With(fmt.Sprintf("no probe of kind %q", a.probe.Kind), "")
}

// tally counts answers for the sentence that is told at the deadline.
type tally struct {
	since time.Time // when it began
	last  answer
	same  int // answers like the last one
	all   int
	good  int
	fine  string // text of the last good one
	texts map[string]int
}

func (t *tally) note(ans answer) {
	if t.texts == nil {
		t.texts = map[string]int{}
	}
	t.all++
	t.texts[ans.text]++
	t.last, t.same = ans, t.texts[ans.text]
	if ans.good {
		t.good++
		t.fine = ans.text
	}
}

// during tells what was heard in the span: "answered 503 on /health, 10 times in
// 30s".
func (t *tally) during(span time.Duration, rise int) string {
	switch {
	case t.all == 0:
		return "gave no answer for " + short(span)
	case t.good > 0:
		return fmt.Sprintf("gave a good answer (%s) %s among %d in %s, but never %d in a row", t.fine, times(t.good), t.all, short(span), rise)
	case t.same == t.all && t.last.lasting():
		return fmt.Sprintf("%s for %s", t.last.text, short(span))
	}
	return fmt.Sprintf("%s, %s in %s", t.last.text, times(t.same), short(span))
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
