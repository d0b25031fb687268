package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gesalpai.ch/steady/test/load"
)

const (
	gunicornRollouts = 2
	gunicornRate     = 60 // requests per second
	longest          = 20 * time.Second
)

// gunicornStack is the guide's api as its docker-compose.prod.yml has it.
const gunicornStack = `services:
  api:
    image: %s
    ports: ["127.0.0.1:${API_PORT}:8000"]
    restart: unless-stopped
    stop_grace_period: 30s
    environment: { RELEASE: "${GESALP_RELEASE:-1}" }
    healthcheck:
      test: ["CMD", "python3", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8000/health')"]
      interval: 10s
      timeout: 5s
      retries: 3
      start_period: 30s
    deploy:
      resources:
        limits: { memory: 2G, cpus: "1" }
`

// TestGunicorn_RolloutsWithLongRequestsInFlightLoseNothing deploys the guide's own
// server: Gunicorn with two Uvicorn workers, which closes idle connections after
// 2 s and drops on SIGTERM what it has not read. Requests of up to 20 s are in
// flight when each rollout begins, through nginx with TLS and one of 20 s past it.
func TestGunicorn_RolloutsWithLongRequestsInFlightLoseNothing(t *testing.T) {
	h, c := logged(t, "e2e-gunicorn")
	h.write("docker-compose.prod.yml", fmt.Sprintf(gunicornStack, gunicornImage(t)))
	h.deploy(1)
	e := newEdge(t)
	h.frontWith(e)
	l := e.load(edgeDomain, load.Options{
		Rate: gunicornRate, Duration: 5 * time.Minute, Timeout: 2 * time.Minute, SlowMax: longest, WebSockets: -1, SSEs: -1,
		Mix: load.Mix{KeepAlive: 0.4, Fresh: 0.25, Post: 0.33, Slow: 0.02},
	})
	turns := []load.Shift{{Release: 1}}
	var wg sync.WaitGroup
	for i := 2; i <= gunicornRollouts+1; i++ {
		begun := make(chan struct{})
		wg.Go(func() { h.long(fmt.Sprint(i-1), begun) })
		<-begun
		turn := load.Shift{Release: i, From: time.Now()}
		h.deploy(i)
		turn.Done = time.Now()
		if took := turn.Done.Sub(turn.From); took < longest/2 {
			t.Errorf("rollout %d took %s: it did not wait for the request in flight", i, took)
		}
		turns = append(turns, turn)
	}
	wg.Wait()
	judge(t, h, c, l.Stop(), turns)
}

// long asks for the longest answer and closes begun when the request is written.
// The answer must come from that release, whole.
func (h *host) long(release string, begun chan<- struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*soon)
	defer cancel()
	written := sync.OnceFunc(func() { close(begun) })
	defer written()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { written() }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.api()+"/slow?d="+longest.String(), nil)
	if err != nil {
		h.t.Error(err)
		return
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		h.t.Errorf("the request of %s was lost: %v", longest, err)
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("X-Release") != release {
		h.t.Errorf("the request of %s: %s of release %s, want %s", longest, res.Status, res.Header.Get("X-Release"), release)
	}
}

// gunicornImage is what scripts/gunicorn.sh made, made now where it is missing.
func gunicornImage(t testing.TB) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(repo, "scripts/gunicorn.sh")).Output()
	if err != nil {
		t.Fatalf("scripts/gunicorn.sh: %v", err)
	}
	return strings.TrimSpace(string(out))
}
