package daemon

import (
	"maps"
	"slices"
	"testing"

	"gesalpai.ch/steady"
)

// Flows to replicas that routes do not list any more go on until they are drained,
// whichever way the routes come into force.
func TestLinger_FlowsToWhatIsNotListedAnyMoreGoOn(t *testing.T) {
	p := newPlane(t)
	dns := steady.Route{Project: "shop", Service: "dns", Replicas: []string{"a", "b"}, Ports: []steady.Port{{Published: 53, Target: 53, Transport: steady.UDP}}}
	web := steady.Route{Project: "shop", Service: "web", Replicas: []string{"c"}, Ports: []steady.Port{{Published: 80, Target: 80}}}
	for _, name := range []string{"a", "b", "c", "d"} {
		p.known[name] = steady.Replica{Name: name}
	}
	next := dns
	next.Replicas = []string{"b", "d"}
	p.linger([]steady.Route{dns, web}, []steady.Route{next, {Project: "shop", Service: "web", Replicas: []string{"d"}}})
	if got := slices.Sorted(maps.Keys(p.udp.leaving)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("leaving %v, want a", got)
	}
}
