package cli

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestGateText_SaysWhoWaits(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for want, g := range map[string]steady.GateStatus{
		"is held: 12 waiting, for 3s":                                                   {Shut: true, Waiting: 12, Since: now.Add(-3 * time.Second)},
		"was held: 4 still wait to be let go":                                           {Waiting: 4, Since: now.Add(-3 * time.Second)},
		"was held, and nobody is any more: the rollout that held it has not renewed it": {Lapsed: true, Since: now},
	} {
		if got := gateText(g, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
