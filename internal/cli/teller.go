package cli

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gesalpai.ch/steady"
)

// teller turns events into lines. Images are brought before the plan is known,
// but a service's head line needs both; so lines wait for the plan.
type teller struct {
	project string
	style   style
	verbose bool // build output and probe answers as lines of their own

	plan    steady.Plan
	planned bool
	images  map[string]string // service → what its image resolved to
	waiting []steady.Event
	column  int               // width of the service column, 0 where one service is concerned
	answers map[string]string // step → its last progress line
	steered bool              // it was said what can be done about a canary
}

func newTeller(project string, y style, verbose bool) *teller {
	return &teller{project: project, style: y, verbose: verbose, images: map[string]string{}, answers: map[string]string{}}
}

func (t *teller) tell(e steady.Event) []string {
	switch e.Kind {
	case steady.EventPlanned:
		return t.tellPlan(e)
	case steady.EventStep:
		return t.tellStep(e)
	case steady.EventProgress:
		return t.tellProgress(e)
	case steady.EventStage:
		return t.tellStage(e)
	case steady.EventUndo:
		text := "the rollout is being undone"
		if e.Error != nil {
			text = e.Error.Text
		}
		return append(t.release(), t.line(e.Service, t.style.yellow(pad("undo", 7)), text))
	case steady.EventDone, steady.EventFailed:
		return t.release()
	}
	return nil
}

func (t *teller) tellPlan(e steady.Event) []string {
	if t.planned || e.Plan == nil {
		return nil
	}
	t.plan, t.planned = *e.Plan, true
	var out []string
	for _, w := range slices.Concat(warnings(t.plan), remain(t.plan)) {
		out = append(out, "steady: "+t.style.yellow("warning:")+" "+w)
	}
	var changed []string
	for _, s := range t.plan.Services {
		if s.Strategy == steady.StrategyKeep {
			out = append(out, t.head(s))
			continue
		}
		changed = append(changed, t.head(s))
		t.column = max(t.column, len(s.Service))
	}
	if len(changed) < 2 { // its steps stand right below its head
		t.column = 0
	}
	return append(append(out, changed...), t.release()...)
}

// remain says what a rollback does not bring back, and which services it does not
// change at all.
func remain(p steady.Plan) []string {
	var out []string
	for _, s := range p.Services {
		if len(s.Stays) > 0 && s.Strategy != steady.StrategyKeep {
			out = append(out, fmt.Sprintf("%s/%s goes back without what it mounts: %s as now", p.Project, s.Service, listed(s.Stays)))
		}
		if s.Same > 0 && s.Strategy == steady.StrategyKeep {
			out = append(out, fmt.Sprintf("%s/%s is not changed: %s", p.Project, s.Service, s.Cause))
		}
	}
	return out
}

// head opens a service's part: what it becomes, from which image, and what it was.
func (t *teller) head(s steady.ServicePlan) string {
	parts := []string{t.style.bold(t.project + "/" + s.Service)}
	if s.Strategy == steady.StrategyKeep {
		parts = append(parts, "unchanged")
		if s.From > 0 {
			parts = append(parts, fmt.Sprintf("release %d", s.From))
		}
		return strings.Join(parts, "  ")
	}
	switch s.Strategy {
	case steady.StrategyRemove:
		parts = append(parts, "leaves")
	case steady.StrategyHandOver:
		parts = append(parts, "hands over")
	}
	if s.To > 0 {
		parts = append(parts, fmt.Sprintf("release %d", s.To))
	}
	if image := t.images[s.Service]; image != "" {
		parts = append(parts, shortDigest(image))
	}
	if s.From > 0 && s.From != s.To {
		parts = append(parts, fmt.Sprintf("was %d", s.From))
	}
	return strings.Join(parts, "  ")
}

// release tells what waited for the plan.
func (t *teller) release() []string {
	t.planned = true
	waiting := t.waiting
	t.waiting = nil
	var out []string
	for _, e := range waiting {
		out = append(out, t.tellStep(e)...)
	}
	return out
}

func (t *teller) tellStep(e steady.Event) []string {
	if e.Step == steady.StepPull || e.Step == steady.StepBuild {
		t.images[e.Service] = e.Text
	}
	if !t.planned {
		t.waiting = append(t.waiting, e)
		return nil
	}
	if silent(e.Step) {
		return nil
	}
	out := []string{t.line(e.Service, t.style.green(pad(e.Step, 7)), t.outcome(e))}
	if e.Warning != "" {
		out = append(out, "steady: "+t.style.yellow("warning:")+" "+short(t.project, e.Replica)+": "+printable(e.Warning))
	}
	return out
}

// silent names the steps that tell a person nothing when they succeed.
func silent(step string) bool {
	switch step {
	case steady.StepPrepare, steady.StepCreate, steady.StepAlias, steady.StepHolder, steady.StepForget, steady.StepRemove:
		return true
	}
	return false
}

// outcome is what came of a step, in a few words.
func (t *teller) outcome(e steady.Event) string {
	replica, text := short(t.project, e.Replica), e.Text
	if text == e.Replica {
		text = ""
	}
	switch {
	case e.Step == steady.StepPull || e.Step == steady.StepBuild || e.Step == steady.StepClean:
		return span(e.Took)
	case e.Drained != nil:
		return replica + ", " + drainText(*e.Drained)
	case e.Step == steady.StepProbe && text != "" && !t.several(e.Service):
		return text
	case replica != "" && text != "" && !strings.Contains(text, e.Replica):
		return replica + ": " + text
	case text != "":
		return strings.ReplaceAll(text, e.Replica, replica)
	case replica != "":
		return replica
	}
	return span(e.Took)
}

func (t *teller) several(service string) bool {
	s, ok := t.plan.Of(service)
	return ok && s.Replicas > 1
}

func (t *teller) tellProgress(e steady.Event) []string {
	// What the user's own commands say is always told, and what is waited for.
	always := e.Step == steady.StepHook || e.Step == steady.StepProbe
	if !always && (!t.verbose || e.Step == steady.StepPull || t.answers[e.StepID] == e.Text) {
		return nil
	}
	t.answers[e.StepID] = e.Text
	return []string{t.line(e.Service, t.style.dim(pad(e.Step, 7)), t.style.dim("| "+printable(e.Text)))}
}

func (t *teller) line(service, step, text string) string {
	if t.column == 0 {
		return "  " + step + " " + text
	}
	return "  " + pad(service, t.column) + "  " + step + " " + text
}

// shortDigest keeps twelve digits: name@sha256:9f3c2b7a1d04…
func shortDigest(image string) string {
	at := strings.LastIndex(image, "sha256:")
	if at < 0 || utf8.RuneCountInString(image[at:]) <= len("sha256:")+12 {
		return image
	}
	return image[:at+len("sha256:")+12] + "…"
}
