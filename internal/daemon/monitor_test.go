package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker"
	"gesalpai.ch/steady/internal/metrics"
	"gesalpai.ch/steady/internal/proxy"
	"gesalpai.ch/steady/internal/rollout"
)

// watched is a backend over a plane's store and proxy, and an Engine that does not
// answer.
func watched(t *testing.T, p *plane) *backend {
	t.Helper()
	eng, err := docker.New(docker.Options{Host: "unix://" + filepath.Join(t.TempDir(), "none.sock")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eng.Close() })
	log := slog.New(slog.DiscardHandler)
	return &backend{store: p.store, engine: eng, router: p.router, meter: docker.NewMeter(eng),
		rollouts: rollout.New(eng, p.router, nil, p.store, log), proxy: &proxies{client: p.proxy, log: log}}
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	b, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b)
}

func TestMonitor_TellsWhatItKnowsAndWhichPartIsAway(t *testing.T) {
	p := newPlane(t)
	p.engine.set("shop-api-1-1", steady.StateRunning, 1)
	if err := p.Route(t.Context(), []steady.Route{p.route("shop-api-1-1")}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p.status(t)
	}
	b := watched(t, p)
	m := metrics.New("v1", b.snapshot, slog.New(slog.DiscardHandler))
	h := b.monitor(m).Handler
	eventually(t, func() bool {
		_, said := get(t, h, "/metrics")
		return strings.Contains(said, `steady_requests_total{code="2xx",project="shop",release="1",service="api"} 3`+"\n")
	})
	status, said := get(t, h, "/metrics")
	for _, line := range []string{"steady_proxy_up 1", "steady_engine_up 0", `steady_serving_release{project="shop",service="api"} 1`,
		`steady_replicas_wanted{project="shop",service="api"} 1`, `steady_rollouts_running{project="shop"} 0`} {
		if !strings.Contains(said, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if status != http.StatusOK || strings.Contains(said, "steady_replicas_ready") {
		t.Errorf("status %d; replicas that nobody could ask for are told", status)
	}
	status, said = get(t, h, "/readyz")
	lines := strings.Split(said, "\n")
	if status != http.StatusServiceUnavailable || !strings.HasPrefix(lines[0], "engine: no Docker Engine answers") || lines[1] != "proxy: ok" || lines[2] != "store: ok" {
		t.Errorf("status %d\n%s", status, said)
	}
	if status, _ := get(t, h, "/healthz"); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, said := get(t, h, "/readyz"); strings.Contains(said, "store: ok") {
		t.Errorf("the store is closed:\n%s", said)
	}
}

func TestFigures_FillAServiceAndItsReplicas(t *testing.T) {
	f := figures{
		traffic: steady.Traffic{"shop/api": {1: {Requests: 10}, 2: {Requests: 5}}},
		flows:   steady.Flows{"shop/api": {2: {Open: steady.Open{Requests: 3}, Minute: steady.Span{For: time.Minute, Counts: steady.Counts{Requests: 60}}}}},
		open:    map[string]steady.Open{"one": {Requests: 2, Streams: 1}},
		use:     map[string]steady.Usage{"one": {Memory: 7}},
	}
	s := steady.ServiceStatus{Service: "api", Replicas: []steady.ReplicaStatus{{Replica: steady.Replica{ID: "one"}}, {Replica: steady.Replica{ID: "two"}}}}
	f.fill("shop", &s)
	one, two := s.Replicas[0], s.Replicas[1]
	if s.Traffic.Requests != 15 || s.Minute.PerSecond != 1 || s.Open.Requests != 3 {
		t.Errorf("%+v", s)
	}
	if one.Usage == nil || one.Usage.Memory != 7 || one.Open.Streams != 1 || two.Usage != nil {
		t.Errorf("%+v, %+v", one, two)
	}
}

func TestJournal_TellsOfARolloutThatEndsAndOfNoOther(t *testing.T) {
	p := newPlane(t)
	var ended []string
	j := journal{p.store, func(r steady.Rollout) { ended = append(ended, r.State) }, func(context.Context, steady.Event) {}}
	r := steady.Rollout{Project: "shop", Kind: steady.KindDeploy, State: steady.RolloutRunning}
	if err := j.Accept(t.Context(), &r, nil); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{steady.RolloutUndoing, steady.RolloutFailed} {
		r.State = state
		if err := j.Update(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if len(ended) != 1 || ended[0] != steady.RolloutFailed {
		t.Errorf("%v", ended)
	}
}

func TestMonitor_AnAddressThatCannotBeHadIsToldBeforeAnythingStarts(t *testing.T) {
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	ln, err := listenMonitor(Options{Metrics: "127.0.0.1:0", Log: log})
	if err != nil || said.Len() > 0 {
		t.Fatalf("%v, said %q", err, said.String())
	}
	defer ln.Close()
	if _, err := listenMonitor(Options{Metrics: ln.Addr().String(), Log: log}); !errors.Is(err, steady.ErrUsage) || !strings.Contains(err.Error(), "taken") {
		t.Errorf("taken: %v", err)
	}
	if _, err := listenMonitor(Options{Metrics: "nonsense", Log: log}); !errors.Is(err, steady.ErrUsage) {
		t.Errorf("nonsense: %v", err)
	}
	if ln, err := listenMonitor(Options{}); ln.Listener != nil || err != nil || ln.close() != nil {
		t.Errorf("none asked for: %v, %v", ln, err)
	}
	open, err := listenMonitor(Options{Metrics: ":0", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	open.Close()
	if !strings.Contains(said.String(), "readable by whoever reaches their address") {
		t.Errorf("no warning of an open address: %q", said.String())
	}
}

func TestAccessLog_OneThatTheProxyDoesNotKeepIsWarnedOf(t *testing.T) {
	p := newPlane(t)
	var said bytes.Buffer
	front := &proxies{client: p.proxy, log: slog.New(slog.NewTextHandler(&said, nil))}
	front.compareAccessLog(context.Background(), proxy.AccessLogStatus{})
	if said.Len() > 0 {
		t.Errorf("none asked for: %s", said.String())
	}
	front.compareAccessLog(context.Background(), proxy.AccessLogStatus{On: true, Path: "/x", Format: proxy.AccessJSON})
	if !strings.Contains(said.String(), "has=none") {
		t.Errorf("said %q", said.String())
	}
	dir := t.TempDir()
	if err := checkAccessLog(proxy.AccessLogStatus{On: true, Path: dir}); !errors.Is(err, steady.ErrUsage) {
		t.Errorf("a directory: %v", err)
	}
	if err := checkAccessLog(proxy.AccessLogStatus{On: true, Path: filepath.Join(dir, "a.log")}); err != nil {
		t.Error(err)
	}
}
