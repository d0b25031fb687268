package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// Goals of the project: throughput relative to nginx, and above Caddy.
const goalNginx = 0.45

type bench struct {
	rounds, conns, size int
	span                time.Duration
	proxyCmd, profile   string
	check               bool

	dir     string
	backend string
	kids    []*exec.Cmd
}

// subject is one proxy under load.
type subject struct {
	name string
	addr string
	rate []float64 // requests per second, by round
}

func (s *subject) median() float64 {
	r := slices.Sorted(slices.Values(s.rate))
	return r[len(r)/2]
}

func (b *bench) run(ctx context.Context) error {
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
	ours, pid, err := b.startProxy(ctx)
	if err != nil {
		return fmt.Errorf("start proxy: %w", err)
	}
	nginx, err := b.startNginx(ctx)
	if err != nil {
		return fmt.Errorf("start nginx: %w", err)
	}
	caddy, err := b.startCaddy(ctx)
	if err != nil {
		return fmt.Errorf("start caddy: %w", err)
	}
	idle := resident(pid)
	held, release, err := holdIdle(ours.addr, 1000)
	if err != nil {
		return fmt.Errorf("open idle connections: %w", err)
	}
	withIdle := resident(pid)
	release()
	subjects := []*subject{nginx, ours, caddy}
	for range b.rounds {
		for _, s := range subjects {
			if err := b.load(ctx, s); err != nil {
				return fmt.Errorf("load %s: %w", s.name, err)
			}
		}
	}
	for _, s := range subjects {
		fmt.Printf("%-8s %8.0f requests/s  %.2f of nginx\n", s.name, s.median(), s.median()/nginx.median())
	}
	fmt.Printf("resident memory of the proxy: %.1f MB idle, %.1f MB with %d idle keep-alive connections, %.1f MB after the load\n",
		idle, withIdle, held, resident(pid))
	if b.check && (ours.median() < goalNginx*nginx.median() || ours.median() <= caddy.median()) {
		return fmt.Errorf("goal missed: %.2f of nginx and above caddy", goalNginx)
	}
	return nil
}

// load runs wrk, which keeps its connections, against one subject.
func (b *bench) load(ctx context.Context, s *subject) error {
	out, err := exec.CommandContext(ctx, "wrk", "-t1", "-c", strconv.Itoa(b.conns),
		"-d", fmt.Sprintf("%ds", int(b.span.Seconds())), "http://"+s.addr+"/").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	if strings.Contains(string(out), "Non-2xx") || strings.Contains(string(out), "Socket errors") {
		return fmt.Errorf("not every answer was good:\n%s", out)
	}
	for line := range strings.Lines(string(out)) {
		if v, ok := strings.CutPrefix(line, "Requests/sec:"); ok {
			rate, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			s.rate = append(s.rate, rate)
			return err
		}
	}
	return fmt.Errorf("wrk said no rate:\n%s", out)
}

// holdIdle opens n keep-alive connections that have served one request each.
func holdIdle(addr string, n int) (int, func(), error) {
	var open []net.Conn
	release := func() {
		for _, c := range open {
			c.Close()
		}
	}
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			release()
			return 0, nil, err
		}
		open = append(open, c)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if err := readAnswer(c); err != nil {
			release()
			return 0, nil, err
		}
	}
	return len(open), release, nil
}

func readAnswer(c net.Conn) error {
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(c)
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(v))
		}
		if line == "\r\n" {
			_, err := r.Discard(length)
			return err
		}
	}
}

// resident is a process's resident memory in MB.
func resident(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(v)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// startProxy starts ours and has it serve the backend; it gives its process.
func (b *bench) startProxy(ctx context.Context) (*subject, int, error) {
	dir := filepath.Join(b.dir, "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, 0, err
	}
	args := []string{os.Args[0], "-role", "proxy", "-run-dir", dir, "-profile", b.profile}
	if b.proxyCmd != "" {
		args = strings.Fields(strings.ReplaceAll(b.proxyCmd, "{}", dir))
	}
	if err := b.start(exec.Command(args[0], args[1:]...)); err != nil {
		return nil, 0, err
	}
	c := proxy.NewClient(filepath.Join(dir, "proxy.sock"))
	pid := 0
	err := retry(ctx, func() (err error) { pid, err = c.Ping(ctx); return })
	if err != nil {
		return nil, 0, err
	}
	err = c.Serve(ctx, steady.Table{
		Version:   1,
		Listeners: []steady.Listener{{Host: "127.0.0.1", Protocol: steady.Auto, Pool: "bench/api:80"}},
		Pools:     []steady.Pool{{Name: "bench/api:80", Upstreams: []steady.Upstream{{ID: "1", Name: "api-1", Addr: b.backend, Release: 1}}}},
	})
	if err != nil {
		return nil, 0, err
	}
	s, err := c.Status(ctx)
	if err != nil {
		return nil, 0, err
	}
	return &subject{name: "steady", addr: fmt.Sprintf("127.0.0.1:%d", s.Listeners[0].Bound)}, pid, nil
}

func (b *bench) startBackend(ctx context.Context) (string, error) {
	cmd := exec.Command(os.Args[0], "-role", "backend", "-size", strconv.Itoa(b.size))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := b.start(cmd); err != nil {
		return "", err
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(addr), err
}

func (b *bench) start(cmd *exec.Cmd) error {
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.kids = append(b.kids, cmd)
	return nil
}

func (b *bench) stop() {
	for _, cmd := range b.kids {
		_ = cmd.Process.Signal(os.Interrupt)
		gone := time.AfterFunc(3*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		gone.Stop()
	}
}

func retry(ctx context.Context, f func() error) error {
	var err error
	for range 500 {
		if err = f(); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return err
}
