package cli

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestFigures_ReadAsAPersonWouldSayThem(t *testing.T) {
	replica := func(cpu float64, memory int64, l steady.Limits) steady.ReplicaStatus {
		return steady.ReplicaStatus{Replica: steady.Replica{Limits: l}, Usage: &steady.Usage{CPU: cpu, Memory: memory}}
	}
	for want, got := range map[string]string{
		"0":                rateText(0),
		"0.3":              rateText(0.25001),
		"99.9":             rateText(99.94),
		"100":              rateText(99.96),
		"1,235":            rateText(1234.6),
		"12% of 0.5":       cpuText(replica(0.12, 0, steady.Limits{CPUs: 0.5})),
		"150%":             cpuText(replica(1.5, 0, steady.Limits{})),
		"0.4% of 1":        cpuText(replica(0.004, 0, steady.Limits{CPUs: 1})),
		"31 MiB of 2 GiB":  memoryText(replica(0, 31<<20, steady.Limits{Memory: 2 << 30})),
		"1.5 GiB":          memoryText(replica(0, 3<<29, steady.Limits{})),
		"-":                memoryText(steady.ReplicaStatus{}),
		"900 B of 512 MiB": memoryText(replica(0, 900, steady.Limits{Memory: 512 << 20})),
		"1023 KiB":         bytesText(1023 << 10),
		"1 MiB":            bytesText(1<<20 - 1),
		"4.2ms":            latencyText(4210 * time.Microsecond),
		"12ms":             latencyText(12 * time.Millisecond),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
