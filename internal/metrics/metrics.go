package metrics

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gesalpai.ch/steady"
)

// scrapesAtOnce bounds how many scrapes ask at the same time.
const scrapesAtOnce = 4

// Metrics is a registry of its own. New makes one; its methods may be called from
// several goroutines.
type Metrics struct {
	registry *prometheus.Registry
	rollouts *prometheus.CounterVec
	took     *prometheus.HistogramVec
	lost     *prometheus.CounterVec
	notified *prometheus.CounterVec
	log      *slog.Logger
}

// New makes the metrics of a daemon of that version. snapshot is called at each
// scrape.
func New(version string, snapshot func(context.Context) Snapshot, log *slog.Logger) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), log: log,
		rollouts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "steady_rollouts_total",
			Help: "Rollouts that have ended since the daemon began, by how: done, unchanged, failed, rolled-back, paused or aborted."},
			[]string{"project", "kind", "state"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "steady_rollout_duration_seconds",
			Help: "How long rollouts took.", Buckets: []float64{0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800}}, []string{"project", "kind"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "steady_rollout_requests_lost_total",
			Help: "Requests lost during rollouts that have ended since the daemon began, by their receipts."}, []string{"project"}),
		notified: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "steady_notifications_total",
			Help: "Tries to tell a receiver of a rollout since the daemon began, by what came of it: delivered, failed (it is tried again) or given-up."}, []string{"outcome"}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "steady_build_info", Help: "Always 1; the labels tell the daemon's version."}, []string{"version", "go"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(m.rollouts, m.took, m.lost, m.notified, build, &collector{describeAll(), snapshot},
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	return m
}

// Rollout counts one that has ended.
func (m *Metrics) Rollout(r steady.Rollout) {
	m.rollouts.WithLabelValues(r.Project, r.Kind, r.State).Inc()
	m.took.WithLabelValues(r.Project, r.Kind).Observe(r.Ended.Sub(r.Started).Seconds())
	var lost int64
	if r.Receipt != nil {
		lost = r.Receipt.Lost()
	}
	m.lost.WithLabelValues(r.Project).Add(float64(lost))
}

// Notification counts a try to tell a receiver.
func (m *Metrics) Notification(outcome string) { m.notified.WithLabelValues(outcome).Inc() }

// Handler serves /metrics, /healthz and /readyz.
func (m *Metrics) Handler(checks ...Check) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: complaints{m.log}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapesAtOnce,
	}))
	mux.HandleFunc("GET /healthz", healthy)
	mux.Handle("GET /readyz", ready(checks))
	return mux
}

// complaints takes the words of promhttp.
type complaints struct{ log *slog.Logger }

func (c complaints) Println(v ...any) { c.log.Warn("answer a scrape", "said", v) }
