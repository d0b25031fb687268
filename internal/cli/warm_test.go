package cli

import (
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestWarm_StatusSaysForHowLongStill(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	status := func(left time.Duration) steady.Status {
		return steady.Status{Project: "shop", Services: []steady.ServiceStatus{{Service: "api", Release: 7,
			Warm: &steady.Warm{Service: "api", Release: 6, Until: now.Add(left)},
			Replicas: []steady.ReplicaStatus{
				{Routed: true, Replica: steady.Replica{Name: "shop-api-7-1", Release: 7, State: steady.StateRunning}},
				{Replica: steady.Replica{Name: "shop-api-6-1", Release: 6, State: steady.StateRunning}},
			}}}}
	}
	for left, want := range map[time.Duration]string{
		8*time.Minute + 12*time.Second: "for 8m12s:", 3 * time.Hour: "for 3h00m:", 9 * time.Second: "for 9s:", -time.Second: "until it has drained:",
	} {
		if got := strings.Join(warmLines(status(left), now), "\n"); !strings.HasPrefix(got, "api release 6 warm "+want) {
			t.Errorf("%s left: %q", left, got)
		}
	}
	lines := strings.Split(statusTable(status(time.Minute), now), "\n")
	if !strings.Contains(lines[1], " yes ") || !strings.Contains(lines[2], " warm ") {
		t.Errorf("table:\n%s", strings.Join(lines, "\n"))
	}
}

func TestWarm_ThePlanSaysWhatIsKeptOrWhyNot(t *testing.T) {
	for want, v := range map[string]steady.ServicePlan{
		"  warm    release 6 is kept running, without traffic, for 10m00s\n": {Service: "api", From: 6, To: 7, Warm: 10 * time.Minute},
		"  warm    not: old and new cannot run beside each other\n":          {Service: "db", From: 6, To: 7, Cold: "old and new cannot run beside each other"},
	} {
		if got := planText(steady.Plan{Services: []steady.ServicePlan{v}}, style{}, time.Now()); !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}
