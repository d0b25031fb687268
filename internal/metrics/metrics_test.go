package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"gesalpai.ch/steady"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// full is a snapshot in which there is something of everything.
func full(context.Context) Snapshot {
	took := make(steady.Latencies, steady.LatencyBuckets)
	took[steady.LatencyBucket(5*time.Millisecond)] = 90 // the bound itself
	took[steady.LatencyBucket(2*time.Second)] = 9
	took[steady.LatencyBucket(time.Hour)] = 1
	return Snapshot{
		Engine: true, Restarts: 2, Running: map[string]int{"shop": 1},
		Proxy: &Proxy{Started: time.Unix(1000, 0), Connections: 7, Drains: 3, Drained: steady.Drained{Requests: 5, Streams: 4}, LogWritten: 105, LogDropped: 6},
		Flows: steady.Flows{"shop/api": {
			0: {Counts: steady.Counts{Lost: 3, Held: 11, Turned: 2}, Waits: took, Waited: 30 * time.Second},
			42: {
				Counts:  steady.Counts{Requests: 107, Answered: 100, Lost: 4, Left: 2, Cut: 1, Retried: 8, Streams: 12, StreamsEnded: 3, StreamsClosed: 2, StreamsQuiet: 5, StreamsCut: 1, Elder: 9},
				Classes: [6]int64{0, 1, 90, 2, 4, 3}, Took: took, Sum: 20 * time.Second, Open: steady.Open{Requests: 1, Streams: 6}, Routed: true,
			},
		}},
		Services: []Service{{Project: "shop", Seen: true, ServiceStatus: steady.ServiceStatus{Service: "api", Release: 42, Want: 2, Replicas: []steady.ReplicaStatus{
			{Routed: true, Usage: &steady.Usage{CPUSeconds: 1.5, Memory: 100}, Replica: steady.Replica{Name: "shop-api-42-1", Release: 42, State: steady.StateRunning, Limits: steady.Limits{CPUs: 0.5, Memory: 200}}},
			{Routed: true, Replica: steady.Replica{Name: "shop-api-42-2", Release: 42, State: steady.StateRunning, Health: steady.HealthUnhealthy, Restarts: 3}},
			{Replica: steady.Replica{Name: "shop-api-41-1", Release: 41, State: steady.StateExited}},
		}}}},
	}
}

func nothing(context.Context) Snapshot { return Snapshot{Running: map[string]int{}} }

func of(snapshot func(context.Context) Snapshot) *Metrics {
	return New("v1.2.3", snapshot, slog.New(slog.DiscardHandler))
}

func TestMetrics_TellWhatTheSnapshotHolds(t *testing.T) {
	m := of(full)
	want := `
# HELP steady_requests_total HTTP requests that are over, by the class of the app's answer (1xx to 5xx; 1xx is an upgrade); lost: steady answered in the app's place, or the app broke off; left: the client gave up. Release 0 found no replica.
# TYPE steady_requests_total counter
steady_requests_total{code="1xx",project="shop",release="0",service="api"} 0
steady_requests_total{code="1xx",project="shop",release="42",service="api"} 1
steady_requests_total{code="2xx",project="shop",release="0",service="api"} 0
steady_requests_total{code="2xx",project="shop",release="42",service="api"} 90
steady_requests_total{code="3xx",project="shop",release="0",service="api"} 0
steady_requests_total{code="3xx",project="shop",release="42",service="api"} 2
steady_requests_total{code="4xx",project="shop",release="0",service="api"} 0
steady_requests_total{code="4xx",project="shop",release="42",service="api"} 4
steady_requests_total{code="5xx",project="shop",release="0",service="api"} 0
steady_requests_total{code="5xx",project="shop",release="42",service="api"} 3
steady_requests_total{code="left",project="shop",release="0",service="api"} 0
steady_requests_total{code="left",project="shop",release="42",service="api"} 2
steady_requests_total{code="lost",project="shop",release="0",service="api"} 3
steady_requests_total{code="lost",project="shop",release="42",service="api"} 4
# HELP steady_replicas_ready Replicas that take traffic, run and are not unhealthy.
# TYPE steady_replicas_ready gauge
steady_replicas_ready{project="shop",service="api"} 1
# HELP steady_replica_cpu_limit_cores Processors that the replica may use. Missing: no limit.
# TYPE steady_replica_cpu_limit_cores gauge
steady_replica_cpu_limit_cores{project="shop",release="42",replica="shop-api-42-1",service="api"} 0.5
# HELP steady_serving_release Number of the release that serves.
# TYPE steady_serving_release gauge
steady_serving_release{project="shop",service="api"} 42
# HELP steady_streams_ended_total Streams that are over: ended by client or app, closed by a drain in their own protocol, ended by it at a quiet moment, or cut by it.
# TYPE steady_streams_ended_total counter
steady_streams_ended_total{how="closed",project="shop",release="0",service="api"} 0
steady_streams_ended_total{how="closed",project="shop",release="42",service="api"} 2
steady_streams_ended_total{how="cut",project="shop",release="0",service="api"} 0
steady_streams_ended_total{how="cut",project="shop",release="42",service="api"} 1
steady_streams_ended_total{how="ended",project="shop",release="0",service="api"} 0
steady_streams_ended_total{how="ended",project="shop",release="42",service="api"} 3
steady_streams_ended_total{how="quiet",project="shop",release="0",service="api"} 0
steady_streams_ended_total{how="quiet",project="shop",release="42",service="api"} 5
`
	err := testutil.GatherAndCompare(m.registry, strings.NewReader(want), "steady_requests_total", "steady_replicas_ready",
		"steady_replica_cpu_limit_cores", "steady_serving_release", "steady_streams_ended_total")
	if err != nil {
		t.Error(err)
	}
	said := scrape(t, m)
	for _, line := range []string{
		`steady_request_duration_seconds_bucket{project="shop",release="42",service="api",le="0.0025"} 0`,
		`steady_request_duration_seconds_bucket{project="shop",release="42",service="api",le="0.005"} 90`,
		`steady_request_duration_seconds_bucket{project="shop",release="42",service="api",le="1"} 90`,
		`steady_request_duration_seconds_bucket{project="shop",release="42",service="api",le="2.5"} 99`,
		`steady_request_duration_seconds_bucket{project="shop",release="42",service="api",le="120"} 99`,
		`steady_request_duration_seconds_bucket{project="shop",release="42",service="api",le="+Inf"} 100`,
		`steady_request_duration_seconds_sum{project="shop",release="42",service="api"} 20`,
		`steady_held_total{project="shop",service="api"} 11`, `steady_held_turned_total{project="shop",service="api"} 2`,
		`steady_held_duration_seconds_bucket{project="shop",service="api",le="2.5"} 99`, `steady_held_duration_seconds_sum{project="shop",service="api"} 30`,
		`steady_held_duration_seconds_count{project="shop",service="api"} 100`, `steady_elder_requests_total{project="shop",release="42",service="api"} 9`,
		`steady_access_log_dropped_total 6`, `steady_proxy_restarts_total 2`, `steady_proxy_up 1`, `steady_engine_up 1`,
		`steady_rollouts_running{project="shop"} 1`, `steady_drained_requests_total 5`, `steady_streams_open{project="shop",release="42",service="api"} 6`,
	} {
		if !strings.Contains(said, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
}

func TestMetrics_WhatCannotBeAskedIsMissingAndNotZero(t *testing.T) {
	said := scrape(t, of(func(context.Context) Snapshot {
		return Snapshot{Services: []Service{{Project: "shop", ServiceStatus: steady.ServiceStatus{Service: "api", Release: 42}}}}
	}))
	for _, line := range []string{"steady_proxy_up 0", "steady_engine_up 0", `steady_serving_release{project="shop",service="api"} 42`} {
		if !strings.Contains(said, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	for _, name := range []string{"steady_replicas_ready", "steady_requests_total", "steady_proxy_start"} {
		if strings.Contains(said, name) {
			t.Errorf("%s is told of what nobody knows", name)
		}
	}
}

func TestMetrics_CountRolloutsByHowTheyEnded(t *testing.T) {
	m := of(nothing)
	at := time.Unix(1000, 0)
	for _, state := range []string{steady.RolloutDone, steady.RolloutDone, steady.RolloutRolledBack} {
		m.Rollout(steady.Rollout{Project: "shop", Kind: steady.KindDeploy, State: state, Started: at, Ended: at.Add(4 * time.Second),
			Receipt: &steady.Receipt{Services: []steady.ServiceReceipt{{Releases: map[int]steady.Counts{42: {Lost: 2}}}}}})
	}
	m.Rollout(steady.Rollout{Project: "shop", Kind: steady.KindDeploy, State: steady.RolloutFailed, Started: at, Ended: at})
	said := scrape(t, m)
	for _, line := range []string{
		`steady_rollouts_total{kind="deploy",project="shop",state="done"} 2`,
		`steady_rollouts_total{kind="deploy",project="shop",state="rolled-back"} 1`,
		`steady_rollout_requests_lost_total{project="shop"} 6`,
		`steady_rollout_duration_seconds_bucket{kind="deploy",project="shop",le="5"} 4`,
		`steady_rollout_duration_seconds_bucket{kind="deploy",project="shop",le="2.5"} 1`,
	} {
		if !strings.Contains(said, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
}

func TestMetrics_AreAsPrometheusWantsThem(t *testing.T) {
	m := of(full)
	m.Rollout(steady.Rollout{Project: "shop", Kind: steady.KindDeploy, State: steady.RolloutDone})
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, b := range buckets { // else a bucket of the histogram would be a guess
		if !slices.Contains(steady.LatencyBounds(), b) {
			t.Errorf("%s is none of the bounds that are counted", b)
		}
	}
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	status, said := ask(t, m.Handler(), "/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d\n%s", status, said)
	}
	return said
}

func ask(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b)
}

func TestHealth_ReadyzTellsEachPartAndHealthzOnlyThatItLives(t *testing.T) {
	var away error
	h := of(nothing).Handler(
		Check{"engine", func(context.Context) error { return away }},
		Check{"store", func(context.Context) error { return nil }},
	)
	if status, said := ask(t, h, "/readyz"); status != http.StatusOK || said != "engine: ok\nstore: ok\n" {
		t.Errorf("%d %q", status, said)
	}
	away = errors.New("no Docker Engine answers at unix:///var/run/docker.sock")
	if status, said := ask(t, h, "/readyz"); status != http.StatusServiceUnavailable || said != "engine: "+away.Error()+"\nstore: ok\n" {
		t.Errorf("%d %q", status, said)
	}
	if status, said := ask(t, h, "/healthz"); status != http.StatusOK || said != "ok\n" {
		t.Errorf("%d %q", status, said)
	}
	if status, _ := ask(t, h, "/"); status != http.StatusNotFound {
		t.Errorf("status %d of what there is not", status)
	}
}

func TestHealth_ACheckThatHangsIsNotWaitedFor(t *testing.T) {
	h := of(nothing).Handler(Check{"engine", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
	begin := time.Now()
	if status, _ := ask(t, h, "/readyz"); status != http.StatusServiceUnavailable || time.Since(begin) > 2*checkFor {
		t.Errorf("%d after %s", status, time.Since(begin))
	}
}
