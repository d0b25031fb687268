package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

func TestBuild_ForetellsWhoMustConnectAgain(t *testing.T) {
	clock := func(s *steady.Spec) { s.Drain.Streams = 5 * time.Second }
	w := new(world).moves("queue", port(4222), clock)
	w.in.Observed.Replicas = append(w.in.Observed.Replicas, steady.Replica{Name: "shop-api-1-1", Service: "api", Release: 1,
		State: steady.StateRunning, Addresses: map[string]string{"shop_default": "10.0.0.9"}})
	w.in.Callers = []steady.Caller{
		{Service: "queue", Address: "10.0.0.9", Streams: 2}, {Service: "queue", Address: "10.0.0.9", Streams: 1},
		{Service: "queue", Address: "192.0.2.7", Streams: 1}, {Service: "other", Address: "10.0.0.9", Streams: 8},
	}
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	want := []steady.Reconnect{{Client: "192.0.2.7", Streams: 1}, {Client: "api", Streams: 3}}
	if d := cmp.Diff(want, p.Services[0].Reconnects); d != "" || p.Services[0].StreamClock != 5*time.Second {
		t.Errorf("clock %s, reconnects (-want +got):\n%s", p.Services[0].StreamClock, d)
	}
	w.in.Targets[0].Release = w.in.Serving["queue"]
	if p, err = plan.Build(w.in); err != nil || len(p.Services[0].Reconnects) > 0 {
		t.Errorf("nothing changes, and yet %v must connect again (%v)", p.Services[0].Reconnects, err)
	}
}
