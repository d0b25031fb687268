package daemon

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestWarmOf_IsTheReleaseThatIsKeptAndRuns(t *testing.T) {
	kept := steady.Warm{Project: "shop", Service: "api", Release: 6, Until: time.Now().Add(time.Minute)}
	stopping := kept
	stopping.Until = time.Time{}
	other := kept
	other.Service = "web"
	runs := steady.ReplicaStatus{Replica: steady.Replica{Release: 6, State: steady.StateRunning}}
	exited, routed := runs, runs
	exited.State, routed.Routed = steady.StateExited, true
	for name, tt := range map[string]struct {
		warm    steady.Warm
		replica steady.ReplicaStatus
		want    bool
	}{
		"it runs, without traffic": {kept, runs, true},
		"it has exited":            {kept, exited, false},
		"it takes traffic again":   {kept, routed, false},
		"it is being stopped":      {stopping, runs, false},
		"another service's":        {other, runs, false},
	} {
		got := warmOf(steady.ServiceStatus{Service: "api", Replicas: []steady.ReplicaStatus{tt.replica}}, []steady.Warm{tt.warm})
		if (got != nil) != tt.want || got != nil && *got != kept {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
