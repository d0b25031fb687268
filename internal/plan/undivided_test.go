package plan_test

import (
	"slices"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// A canary whose undo could not come to its end left its split. The next rollout
// neither shares the traffic of the old with it nor goes back to it.
func TestBuild_ASplitThatWasLeftIsNotBuiltOn(t *testing.T) {
	w := new(world).moves("api", port(8000), canary(5, 50)).keeps("api", 9)
	w.in.Warm = nil // it is no warm one, but the one that was on trial
	w.in.Routes[0].Replicas = append(w.in.Routes[0].Replicas, "shop-api-9-1")
	w.in.Routes[0].Split = &steady.Split{Release: 9, Percent: 5}
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	begun := map[string]bool{}
	for _, s := range p.Steps {
		begun[s.ID] = true
		for _, r := range s.Routes {
			if slices.Contains(r.Replicas, "shop-api-9-1") {
				t.Errorf("%s gives it traffic:\n%s", s.ID, p)
			}
		}
		if s.ID == "canary/1" {
			break
		}
	}
	back := of(plan.Undo(p, begun), steady.StepShift)
	if len(back) != 1 || back[0].Routes[0].Split != nil || !slices.Equal(back[0].Routes[0].Replicas, []string{"shop-api-1-1"}) {
		t.Errorf("undo goes back to %+v", back)
	}
	w.in.Targets[0].Release = w.in.Serving["api"]
	if got := steps(t, w, "api"); !slices.Contains(got, "api/remove/shop-api-9-1") {
		t.Errorf("the same files again leave it: %v", got)
	}
}
