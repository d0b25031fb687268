package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/nginx"
	"gesalpai.ch/steady/test/load"
)

// edgeConf is Debian's nginx.conf as far as it matters.
const edgeConf = `
worker_processes auto;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.err;
events { worker_connections 4096; }
http {
  keepalive_requests 1000000;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  include %[1]s/site;
}
`

// latency is what the clients saw, by round.
type latency struct{ p50, p99 []time.Duration }

// runFront compares the site that steady writes before the app itself with the
// same site before steady before the app: what steady adds behind nginx.
func (b *bench) runFront(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "pb")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	defer b.stop()
	if b.backend, err = b.startBackend(ctx); err != nil {
		return fmt.Errorf("start backend: %w", err)
	}
	ours, _, err := b.startProxy(ctx)
	if err != nil {
		return fmt.Errorf("start proxy: %w", err)
	}
	alone, err := b.startEdge(ctx, "nginx", b.backend)
	if err != nil {
		return fmt.Errorf("start nginx: %w", err)
	}
	both, err := b.startEdge(ctx, "nginx+steady", ours.addr)
	if err != nil {
		return fmt.Errorf("start nginx before steady: %w", err)
	}
	subjects := []*subject{alone, both}
	for range b.rounds {
		for _, s := range subjects {
			if err := b.load(ctx, s); err != nil {
				return fmt.Errorf("load %s: %w", s.name, err)
			}
		}
	}
	half := both.median() / 2
	seen := map[*subject]*latency{alone: {}, both: {}}
	for range b.rounds {
		for _, s := range subjects {
			if err := b.paced(ctx, s, half, seen[s]); err != nil {
				return fmt.Errorf("load %s at half: %w", s.name, err)
			}
		}
	}
	fmt.Printf("nginx + steady: %.2f of the requests/s of nginx alone\n", both.median()/alone.median())
	for _, s := range subjects {
		fmt.Printf("%-13s at %.0f requests/s: p50 %s, p99 %s\n", s.name, half, middle(seen[s].p50), middle(seen[s].p99))
	}
	fmt.Printf("steady adds p50 %s, p99 %s\n", middle(seen[both].p50)-middle(seen[alone].p50), middle(seen[both].p99)-middle(seen[alone].p99))
	return nil
}

// paced loads one subject at a rate, open loop, and notes the latencies.
func (b *bench) paced(ctx context.Context, s *subject, rate float64, seen *latency) error {
	r := load.Run(ctx, load.Options{
		URL: "http://" + s.addr, Host: edgeDomain, Rate: rate, Duration: b.span, Conns: b.conns, WebSockets: -1, SSEs: -1,
		Mix: load.Mix{KeepAlive: 1}, Paths: load.Paths{KeepAlive: "/"},
	})
	if r.Err != nil || r.Lost() > 0 {
		return fmt.Errorf("not every answer was good:\n%s", r)
	}
	seen.p50 = append(seen.p50, r.Loads[0].Latency.P50)
	seen.p99 = append(seen.p99, r.Loads[0].Latency.P99)
	return nil
}

func middle(ds []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(ds))
	return s[len(s)/2].Round(time.Microsecond)
}

// edgeDomain is nobody's: nginx serves its only site whatever the Host.
const edgeDomain = "bench.invalid"

// startEdge starts an nginx with the site that steady writes, before upstream.
func (b *bench) startEdge(ctx context.Context, name, upstream string) (*subject, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(spare())
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	version, err := nginx.New(nginx.Options{}).Version(ctx)
	if err != nil {
		return nil, err
	}
	site, err := nginx.Render(steady.Site{
		Name: "bench", Ref: "bench/api", Domains: []string{edgeDomain}, Upstream: upstream, Timeout: steady.DefaultSiteTimeout,
		MaxBody: steady.DefaultSiteMaxBody, HTTPPort: uint16(n), HTTPSPort: steady.DefaultHTTPSPort, LogDir: dir,
	}, version)
	if err != nil {
		return nil, err
	}
	for file, text := range map[string]string{"site": site, "nginx.conf": fmt.Sprintf(edgeConf, dir)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	if err := b.start(exec.Command("nginx", "-c", filepath.Join(dir, "nginx.conf"), "-g", "daemon off;")); err != nil {
		return nil, err
	}
	s := &subject{name: name, addr: "127.0.0.1:" + port}
	return s, answers(ctx, s.addr)
}
