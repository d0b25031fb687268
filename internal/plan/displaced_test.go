package plan_test

import (
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// docker compose up has put its own container in the place of the serving
// release's: two writers on one volume must not meet.
func TestBuild_ASingletonThatComposeReplacedIsExchangedStopFirst(t *testing.T) {
	w := new(world).moves("db", writes("data"))
	w.in.Targets[0].Release = w.in.Serving["db"]
	w.in.Observed.Replicas = []steady.Replica{{ID: "x", Name: "shop-db-1", Service: "db", State: steady.StateRunning}}
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, p)
	if got := p.Services[0].Strategy; got != steady.StrategyHold {
		t.Errorf("strategy %s, want %s\n%s", got, steady.StrategyHold, p)
	}
}
