package docker

import (
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"gesalpai.ch/steady"
)

func TestPair_UsageIsCoresInBetweenOrSinceTheStart(t *testing.T) {
	at := time.Unix(1000, 0)
	before, last := look{at: at, cpu: time.Second}, look{at: at.Add(2 * time.Second), cpu: 4 * time.Second, memory: 7}
	for name, c := range map[string]struct {
		of      pair
		started time.Time
		want    float64
	}{
		"two looks":                    {pair{before, last}, at.Add(-time.Minute), 1.5},
		"one look":                     {pair{look{}, last}, at.Add(-6 * time.Second), 0.5},
		"it was started again between": {pair{before, last}, at.Add(time.Second), 4},
	} {
		if u := c.of.usage(c.started); u != (steady.Usage{CPU: c.want, CPUSeconds: 4, Memory: 7}) {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

func TestMemory_LeavesOutTheCacheThatCanBeTakenBack(t *testing.T) {
	for name, c := range map[string]struct {
		of   container.MemoryStats
		want int64
	}{
		"cgroups v1": {container.MemoryStats{Usage: 100, Stats: map[string]uint64{"total_inactive_file": 40, "inactive_file": 10}}, 60},
		"cgroups v2": {container.MemoryStats{Usage: 100, Stats: map[string]uint64{"inactive_file": 10}}, 90},
		"neither":    {container.MemoryStats{Usage: 100}, 100},
	} {
		if got := memory(c.of); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestLimits_AreToldHoweverTheyWereGiven(t *testing.T) {
	if got := limits(container.Resources{CPUQuota: 150_000, Memory: 1 << 20}); got != (steady.Limits{CPUs: 1.5, Memory: 1 << 20}) {
		t.Errorf("%+v", got)
	}
	if got := limits(container.Resources{CPUQuota: 100_000, CPUPeriod: 50_000}); got.CPUs != 2 {
		t.Errorf("%+v", got)
	}
}
