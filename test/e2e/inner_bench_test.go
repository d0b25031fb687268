package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady/test/inner"
)

// BenchmarkInnerHop tells what the way by a holder and the proxy costs against a
// direct call of the replica, from a container of the same network, and what a
// holder keeps resident (goal: at most 2 MB). Times are in milliseconds; x-…
// is the held way's figure over the direct one's.
func BenchmarkInnerHop(b *testing.B) {
	h := swiftHost(b, "e2e-inner-hop")
	withInner(b, h, "services:\n"+called("svc", ""))
	h.deploy(1)
	network := h.project + "_default"
	replica := addressOf(b, h.replicaOf("svc"), network)
	for b.Loop() {
		speed := within[map[string]inner.Speed](b, network, "bench", "-direct", replica, "-held", "svc")
		direct, held := speed["direct"], speed["held"]
		for name, s := range speed {
			b.Logf("%-6s %.0f requests/s, at half load p50 %s p99 %s; TCP %.0f MB/s, %.0f round trips/s, p50 %s p99 %s, connect %s",
				name, s.Rate, s.P50, s.P99, s.Bulk, s.PingPong, s.RoundP50, s.RoundP99, s.Connect)
		}
		b.ReportMetric(ms(direct.P50), "ms-direct-p50")
		b.ReportMetric(ms(held.P50), "ms-held-p50")
		b.ReportMetric(ms(direct.P99), "ms-direct-p99")
		b.ReportMetric(ms(held.P99), "ms-held-p99")
		b.ReportMetric(held.Rate/direct.Rate, "x-http-throughput")
		b.ReportMetric(held.Bulk/direct.Bulk, "x-tcp-bulk")
		b.ReportMetric(held.PingPong/direct.PingPong, "x-tcp-pingpong")
		b.ReportMetric(ms(held.RoundP50-direct.RoundP50), "ms-tcp-round-more-p50")
		b.ReportMetric(ms(held.Connect-direct.Connect), "ms-tcp-connect-more")
		b.ReportMetric(resident(b, pidOf(b, h.holderOf("svc"))), "MiB-holder")
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// pidOf is the container's first process, on the host.
func pidOf(b *testing.B, container string) int {
	b.Helper()
	pid, err := strconv.Atoi(listed(b, "inspect", "-f", "{{.State.Pid}}", container)[0])
	if err != nil {
		b.Fatal(err)
	}
	return pid
}

// BenchmarkInnerFiftyServices tells how long the first and the second rollout of
// fifty small services take, and what daemon, proxy and all holders together
// keep resident then.
func BenchmarkInnerFiftyServices(b *testing.B) {
	const services = 50
	h := swiftHost(b, "e2e-inner-fifty")
	var file strings.Builder
	file.WriteString("services:\n")
	for n := range services {
		file.WriteString(called(fmt.Sprintf("s%02d", n), ""))
	}
	withInner(b, h, file.String())
	began := time.Now()
	h.deploy(1)
	first := time.Since(began)
	release := 1
	for b.Loop() {
		release++
		began = time.Now()
		h.deploy(release)
		b.ReportMetric(time.Since(began).Seconds(), "s-rollout")
	}
	b.ReportMetric(first.Seconds(), "s-first")
	holders := 0.0
	for n := range services {
		holders += resident(b, pidOf(b, h.holderOf(fmt.Sprintf("s%02d", n))))
	}
	b.ReportMetric(holders, "MiB-holders")
	b.ReportMetric(resident(b, h.daemon.Process.Pid), "MiB-daemon")
	b.ReportMetric(resident(b, h.proxyPID()), "MiB-proxy")
}
