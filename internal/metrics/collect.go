package metrics

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gesalpai.ch/steady"
)

// askFor is how long a scrape may take to learn what it tells; Prometheus itself
// gives up after 10 s.
const askFor = 8 * time.Second

// buckets are the histogram's upper bounds. Each is one of steady.LatencyBounds,
// so none of them is a guess.
var buckets = []time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, 60 * time.Second, 120 * time.Second,
}

// collector reads metrics off a snapshot taken at each scrape.
type collector struct {
	descriptions
	snapshot func(context.Context) Snapshot
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.each() {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	s := c.snapshot(ctx)
	g := gathering{c.descriptions, out}
	g.gauge(g.engineUp, truth(s.Engine))
	g.gauge(g.proxyUp, truth(s.Proxy != nil))
	g.count(g.proxyRestarts, float64(s.Restarts))
	for project, n := range s.Running {
		g.gauge(g.rolloutsRunning, float64(n), project)
	}
	if s.Proxy != nil {
		g.proxy(*s.Proxy)
	}
	for ref, releases := range s.Flows {
		project, service, _ := strings.Cut(ref, "/")
		for release, f := range releases {
			g.flow(f, project, service, strconv.Itoa(release))
			if release == 0 { // nobody knows at the gate who will answer
				g.gate(f, project, service)
			}
		}
	}
	for _, v := range s.Services {
		g.service(v)
	}
}

// gathering is one scrape under way.
type gathering struct {
	descriptions
	out chan<- prometheus.Metric
}

func (g gathering) gauge(d *prometheus.Desc, v float64, labels ...string) {
	g.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (g gathering) count(d *prometheus.Desc, v float64, labels ...string) {
	g.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (g gathering) proxy(p Proxy) {
	g.gauge(g.proxyStart, float64(p.Started.UnixMilli())/1000)
	g.gauge(g.connections, float64(p.Connections))
	g.count(g.drains, float64(p.Drains))
	g.count(g.drainedRequests, float64(p.Drained.Requests))
	g.count(g.drainedStreams, float64(p.Drained.Streams))
	g.count(g.logLines, float64(p.LogWritten))
	g.count(g.logDropped, float64(p.LogDropped))
}

func (g gathering) flow(f steady.Flow, labels ...string) {
	with := func(last string) []string { return append(slices.Clone(labels), last) }
	for class := 1; class <= 5; class++ {
		g.count(g.requests, float64(f.Classes[class]), with(strconv.Itoa(class)+"xx")...)
	}
	c := f.Counts
	g.count(g.requests, float64(c.Lost), with("lost")...)
	g.count(g.requests, float64(c.Left), with("left")...)
	g.out <- histogram(g.duration, f.Took, f.Sum, labels)
	g.count(g.retried, float64(c.Retried), labels...)
	g.count(g.cut, float64(c.Cut), labels...)
	g.count(g.elder, float64(c.Elder), labels...)
	g.gauge(g.inFlight, float64(f.Open.Requests), labels...)
	g.count(g.streams, float64(c.Streams), labels...)
	g.count(g.streamsEnded, float64(c.StreamsEnded), with("ended")...)
	g.count(g.streamsEnded, float64(c.StreamsClosed), with("closed")...)
	g.count(g.streamsEnded, float64(c.StreamsQuiet), with("quiet")...)
	g.count(g.streamsEnded, float64(c.StreamsCut), with("cut")...)
	g.gauge(g.streamsOpen, float64(f.Open.Streams), labels...)
}

// gate tells what became of those who came to a service's gate.
func (g gathering) gate(f steady.Flow, labels ...string) {
	g.count(g.held, float64(f.Counts.Held), labels...)
	g.count(g.turned, float64(f.Counts.Turned), labels...)
	g.out <- histogram(g.waits, f.Waits, f.Waited, labels)
}

func histogram(d *prometheus.Desc, took steady.Latencies, sum time.Duration, labels []string) prometheus.Metric {
	cumulative := make(map[float64]uint64, len(buckets))
	for _, b := range buckets {
		var n int64
		for _, c := range took[:min(steady.LatencyBucket(b)+1, len(took))] {
			n += c
		}
		cumulative[b.Seconds()] = uint64(n)
	}
	return prometheus.MustNewConstHistogram(d, uint64(took.Count()), sum.Seconds(), cumulative, labels...)
}

func (g gathering) service(v Service) {
	g.gauge(g.serving, float64(v.Release), v.Project, v.Service)
	g.gauge(g.wanted, float64(v.Want), v.Project, v.Service)
	if !v.Seen { // not known is not none
		return
	}
	ready := 0
	for _, r := range v.Replicas {
		labels := []string{v.Project, v.Service, strconv.Itoa(r.Release), r.Name}
		g.replica(r, labels)
		if isReady(r) {
			ready++
		}
	}
	g.gauge(g.ready, float64(ready), v.Project, v.Service)
}

func isReady(r steady.ReplicaStatus) bool {
	return r.Routed && r.Running() && r.Health != steady.HealthUnhealthy
}

func (g gathering) replica(r steady.ReplicaStatus, labels []string) {
	g.gauge(g.replicaReady, truth(isReady(r)), labels...)
	g.count(g.restarts, float64(r.Restarts), labels...)
	if r.Limits.CPUs > 0 {
		g.gauge(g.cpuLimit, r.Limits.CPUs, labels...)
	}
	if r.Limits.Memory > 0 {
		g.gauge(g.memoryLimit, float64(r.Limits.Memory), labels...)
	}
	if r.Usage != nil {
		g.count(g.cpu, r.Usage.CPUSeconds, labels...)
		g.gauge(g.memory, float64(r.Usage.Memory), labels...)
	}
}
