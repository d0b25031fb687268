package proxy

import (
	"os"
	"testing"

	"gesalpai.ch/steady"
)

// Where no process can be seen, those whom the daemon names are believed; those in a
// file are not.
func TestIdentity_WhoSeesNoProcessBelievesTheDaemonAndNoFile(t *testing.T) {
	named := steady.Process{Boot: "b", PID: os.Getpid(), Started: 1}
	blind := identities{blind: true}
	if blind.of(named) != nil {
		t.Error("the daemon is not believed")
	}
	table := steady.Table{Pools: []steady.Pool{{Upstreams: []steady.Upstream{{ID: "a", Process: named}}, Elders: []steady.Upstream{{ID: "b"}}}}}
	disown(&table, blind.blind)
	for _, u := range []steady.Upstream{table.Pools[0].Upstreams[0], table.Pools[0].Elders[0]} {
		if who := blind.of(u.Process); who == nil || !who.ended.Load() {
			t.Errorf("%s of a file is believed", u.ID)
		}
	}
}
