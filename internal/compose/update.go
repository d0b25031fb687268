package compose

import (
	"cmp"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// updateOf: the service's x-steady speaks first, then deploy.update_config, then
// the project's x-steady. An empty Order leaves the choice to the plan.
func updateOf(s types.ServiceConfig, own settings) steady.Update {
	if s.Deploy == nil {
		return configured(nil, own)
	}
	return configured(s.Deploy.UpdateConfig, own)
}

// configured is an update_config or a rollback_config with its gaps filled. The
// window is Swarm's where the files ask for one without saying how long; there is
// none where nobody asks, as every rollout would take so much longer.
func configured(c *types.UpdateConfig, own settings) steady.Update {
	window := steady.DefaultMonitor
	if asksForWatch(c, own) {
		window = steady.DefaultWatchWindow
	}
	u := steady.Update{
		Order:         setting(own, "strategy", ""),
		FailureAction: steady.DefaultFailureAction,
		Monitor:       setting(own, "monitor", window),
		Watch:         watched(c, own),
	}
	if c == nil {
		return u
	}
	if c.Parallelism != nil {
		u.Parallelism = int(*c.Parallelism)
	}
	u.Delay = time.Duration(c.Delay)
	u.FailureAction = cmp.Or(c.FailureAction, u.FailureAction)
	if _, ok := own.service["strategy"]; !ok {
		u.Order = cmp.Or(c.Order, u.Order)
	}
	if _, ok := own.service["monitor"]; !ok {
		u.Monitor = cmp.Or(time.Duration(c.Monitor), u.Monitor)
	}
	return u
}

func drainOf(own settings) steady.Drain {
	return steady.Drain{
		Requests: setting(own, "drain.requests", steady.DefaultDrainRequests),
		Streams:  setting(own, "drain.streams", steady.DefaultDrainStreams),
		Quiet:    setting(own, "drain.quiet", time.Duration(0)),
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
