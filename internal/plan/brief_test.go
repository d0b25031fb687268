package plan_test

import (
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// Whoever waits in a gap does not wait for streams that may never end; where old
// and new stand side by side they have their clock.
func TestBuild_StreamsAreEndedAtOnceOnlyInAGap(t *testing.T) {
	w := new(world).wants("db", port(5432), order(steady.StopFirst)).wants("api", port(8000)).
		has("db", port(5432), order(steady.StopFirst)).has("api", port(8000))
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	drains := 0
	for _, s := range p.Steps {
		if s.Kind != steady.StepDrain {
			continue
		}
		drains++
		if s.Brief != (s.Service == "db") {
			t.Errorf("%s: brief is %t", s.ID, s.Brief)
		}
	}
	if drains != 2 {
		t.Errorf("%d drains\n%s", drains, p)
	}
}
