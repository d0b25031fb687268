package probe_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/probe"
)

// accepting dials what a replica exposes: one port accepts after a while, others
// never do.
func accepting(addr string, after time.Duration) probe.Dial {
	began := time.Now()
	return func(_ context.Context, _, to string) (net.Conn, error) {
		if to != addr || time.Since(began) < after {
			return nil, errors.New("refused")
		}
		a, b := net.Pipe()
		b.Close()
		return a, nil
	}
}

func TestExposed_OneOfThePortsMustAccept(t *testing.T) {
	for name, tt := range map[string]struct {
		ports []uint16
		after time.Duration
		want  string
		soon  time.Duration
	}{
		"one accepts":           {[]uint16{53, 4222}, 700 * time.Millisecond, "port 4222 after", 850 * time.Millisecond},
		"none ever does":        {[]uint16{53}, time.Hour, "running for 5s, and nothing accepts on what it exposes after", 5200 * time.Millisecond},
		"nothing is exposed":    {nil, time.Hour, "running for 1s after", 1100 * time.Millisecond},
		"it accepts right away": {[]uint16{4222}, 0, "port 4222 after", 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				box := running()
				box.replica.Exposed = tt.ports
				began := time.Now()
				said, err := probe.New(box, accepting("127.0.0.1:4222", tt.after)).Ready(t.Context(), "shop-api-42-1", steady.Probe{Kind: steady.ProbeExposed})
				if err != nil || len(said) < len(tt.want) || said[:len(tt.want)] != tt.want {
					t.Errorf("said %q, %v", said, err)
				}
				if took := time.Since(began); took > tt.soon || took < tt.after && tt.after < time.Hour {
					t.Errorf("after %s", took)
				}
			})
		})
	}
}
