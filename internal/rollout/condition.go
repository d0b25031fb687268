package rollout

import (
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// conditionOf tells what ails the replicas that serve, so that the release to come is
// not condemned for the same.
func conditionOf(old []steady.Replica, route steady.Route, now time.Time) *steady.Condition {
	var out steady.Condition
	sick, running := 0, 0
	for _, c := range old {
		ours := slices.Contains(route.Replicas, c.Name) || len(c.Published) > 0
		if !ours || !c.Running() && c.State != steady.StateRestarting {
			continue
		}
		running++
		if c.Health == steady.HealthUnhealthy {
			sick++
		}
		out.OOM = out.OOM || c.OOM
		if age := now.Sub(c.Created); c.Restarts > 0 && !c.Created.IsZero() && age > 0 {
			out.Restarts = max(out.Restarts, float64(c.Restarts)/age.Hours())
		}
	}
	out.Unhealthy = running > 0 && sick == running
	if out == (steady.Condition{}) {
		return nil
	}
	return &out
}

// mayRestart is how often a replica may have been restarted, where those before it were
// restarted so many times an hour.
func mayRestart(before *steady.Condition, age time.Duration) int {
	if before == nil || age <= 0 {
		return 0
	}
	return int(2*before.Restarts*age.Hours() + 0.5)
}
