package cli

import (
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

// gateText says how a service's gate stands.
func gateText(g steady.GateStatus, now time.Time) string {
	switch {
	case g.Lapsed:
		return "was held, and nobody is any more: the rollout that held it has not renewed it"
	case !g.Shut:
		return fmt.Sprintf("was held: %d still wait to be let go", g.Waiting)
	}
	return fmt.Sprintf("is held: %d waiting, for %s", g.Waiting, age(now, g.Since))
}
