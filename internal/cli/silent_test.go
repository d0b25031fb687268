package cli

import (
	"testing"

	"gesalpai.ch/steady"
)

func TestTeller_HousekeepingIsToldOnlyWhenItFails(t *testing.T) {
	for step, want := range map[string]bool{
		steady.StepPrepare: true, steady.StepHolder: true, steady.StepForget: true, steady.StepCreate: true, steady.StepRemove: true,
		steady.StepStart: false, steady.StepProbe: false, steady.StepShift: false, steady.StepDrain: false, steady.StepStop: false,
	} {
		if got := silent(step); got != want {
			t.Errorf("%s: silent is %t", step, got)
		}
	}
}
