package probe

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"gesalpai.ch/steady"
)

// exposed is the question of an exposed probe: does one of the ports that the
// container declares accept? Where none does until it has settled, or none can be
// asked, that it stays up is enough.
func (a *attempt) exposed() question {
	host, ok := Address(a.replica)
	if !ok || len(a.replica.Exposed) == 0 {
		a.probe.Settle = min(a.probe.Settle, steady.DefaultSettle)
		settled := time.Now().Add(a.probe.Settle)
		ask := func(ctx context.Context) (answer, error) { return a.askRunning(ctx, settled) }
		return question{ask: ask, rise: 1, pause: a.probe.Interval}
	}
	settled := time.Now().Add(a.probe.Settle)
	ask := func(ctx context.Context) (answer, error) { return a.askExposed(ctx, host, settled) }
	return question{ask: ask, rise: a.probe.Rise, pause: risePause}
}

func (a *attempt) askExposed(ctx context.Context, host string, settled time.Time) (answer, error) {
	for _, port := range a.replica.Exposed {
		conn, err := a.dial(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
		if err == nil {
			_ = conn.Close() // nothing was said on it
			return answer{good: true, text: fmt.Sprintf("port %d", port)}, nil
		}
	}
	ans, err := a.askRunning(ctx, settled)
	if ans.good {
		ans.text += ", and nothing accepts on what it exposes"
	}
	return ans, err
}
