package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/load"
)

// monitored is a host whose proxy keeps an access log and whose daemon tells
// metrics.
type monitored struct {
	*host
	log     string // the access log's path
	metrics string // address
}

const secret = "s3cr3t-value"

func monitoredHost(t *testing.T, project string) monitored {
	t.Helper()
	h := swiftHost(t, project)
	pid := h.proxyPID()
	h.stop()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	gone := func() bool { return syscall.Kill(pid, 0) != nil }
	for end := time.Now().Add(soon); !gone(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the proxy does not end")
		}
	}
	m := monitored{h, filepath.Join(t.TempDir(), "access.log"), "127.0.0.1:" + freePort(t)}
	h.flags = []string{"--access-log", m.log, "--metrics", m.metrics}
	h.boot()
	h.write("override.yml", "services:\n  api:\n    environment: { SECRET: "+secret+" }\n    x-steady:\n      drain: { streams: "+streamClock.String()+" }\n")
	return m
}

// told is the project's api as `steady status --json` tells it.
func (m monitored) told() steady.ServiceStatus {
	m.t.Helper()
	begin := time.Now()
	r := m.steady("status", "--json")
	if took := time.Since(begin); took > time.Second {
		m.t.Errorf("status took %s", took)
	}
	var s steady.Status
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		m.t.Fatalf("%v\n%s%s", err, r.out, r.err)
	}
	for _, v := range s.Services {
		if v.Service == "api" {
			return v
		}
	}
	m.t.Fatalf("no api:\n%s", r.out)
	return steady.ServiceStatus{}
}

// ask asks the daemon's own address.
func (m monitored) ask(path string) (int, string) {
	m.t.Helper()
	res, err := http.Get("http://" + m.metrics + path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// sums adds a metric's series of the api up, by the value of one label.
func (m monitored) sums(name, label string) map[string]int {
	m.t.Helper()
	_, said := m.ask("/metrics")
	out := map[string]int{}
	for line := range strings.Lines(said) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		labels, ours := strings.CutPrefix(series, name+"{")
		if !ours || strings.Contains(labels, `service="`) && !strings.Contains(labels, `service="api"`) {
			continue
		}
		_, rest, _ := strings.Cut(labels, label+`="`)
		key, _, _ := strings.Cut(rest, `"`)
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			m.t.Fatalf("%s: %v", line, err)
		}
		out[key] += int(n)
	}
	return out
}

// rotate renames the access log and has the proxy open it anew.
func (m monitored) rotate(n int) {
	m.t.Helper()
	if err := os.Rename(m.log, fmt.Sprintf("%s.%d", m.log, n)); err != nil {
		m.t.Fatal(err)
	}
	if err := syscall.Kill(m.proxyPID(), syscall.SIGUSR1); err != nil {
		m.t.Fatal(err)
	}
	m.eventually("there is a new access log", func() bool { _, err := os.Stat(m.log); return err == nil })
}

// logLine is what the test reads of a line of the access log.
type logLine struct {
	ID, Service, Path, Outcome, Upstream string
	Release, Status                      int
	Stream                               bool
	Total                                float64
}

// lines reads the access log and what it was rotated to. A torn line is none.
func (m monitored) lines() []logLine {
	m.t.Helper()
	files, err := filepath.Glob(m.log + "*")
	if err != nil {
		m.t.Fatal(err)
	}
	var out []logLine
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			m.t.Fatal(err)
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			var l logLine
			if err := json.Unmarshal(s.Bytes(), &l); err != nil {
				m.t.Fatalf("%s: %v: %q", name, err, s.Text())
			}
			if l.Service == m.project+"/api" {
				out = append(out, l)
			}
		}
	}
	return out
}

func sum(m map[string]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}

func TestMonitor_StatusMetricsAndAccessLogCountWhatTheLoadSentAcrossRollouts(t *testing.T) {
	m := monitoredHost(t, "e2e-monitor")
	m.deploy(1, "all")
	l := load.Start(load.Options{URL: m.api(), Rate: rate, Duration: 10 * time.Minute})
	m.eventually("the load is seen", func() bool { return m.told().Lately.PerSecond > rate/3 })
	const releases = 3
	for release := 2; release <= releases; release++ {
		m.rotate(2 * release)
		m.deploy(release, "api")
		m.rotate(2*release + 1)
	}
	m.busy()
	guidesLogs(t, m.host)
	r := l.Stop()
	t.Logf("%s", r)
	m.eventually("nothing is in flight", func() bool { return m.told().Open == steady.Open{} })
	m.addUp(r)
	m.keepSecrets()
	m.survives()
}

// busy looks at the figures while the load runs.
func (m monitored) busy() {
	m.t.Helper()
	var now steady.ServiceStatus
	m.eventually("the replica's use is known", func() bool { now = m.told(); return now.Replicas[0].Usage != nil && now.Replicas[0].Usage.CPU > 0 })
	one := now.Replicas[0]
	if want := (steady.Limits{CPUs: 1, Memory: 2 << 30}); one.Limits != want || one.Usage.Memory <= 0 || one.Usage.Memory > want.Memory {
		m.t.Errorf("limits %+v, use %+v", one.Limits, *one.Usage)
	}
	if one.Open.Streams == 0 || now.Restart != "unless-stopped" || now.Minute.P50 <= 0 || now.Minute.P99 < now.Minute.P50 {
		m.t.Errorf("%+v", now)
	}
	if s := m.steady("stats"); s.code != 0 || !strings.Contains(s.out, "api-3-1") || !strings.Contains(s.out, " of 2 GiB") {
		m.t.Errorf("stats: exit %d\n%s%s", s.code, s.out, s.err)
	}
	if ready, said := m.ask("/readyz"); ready != http.StatusOK {
		m.t.Errorf("readyz: %d\n%s", ready, said)
	}
}

// addUp compares what everybody counted with what the load sent.
func (m monitored) addUp(r load.Report) {
	t := m.t
	t.Helper()
	if !r.Clean() {
		t.Errorf("lost %d, cut %d, unsent %d", r.Lost(), r.Cut(), r.Unsent())
	}
	sent := r.Sent()
	now := m.told()
	if got := int(now.Traffic.Requests); got != sent || now.Traffic.Lost != 0 {
		t.Errorf("status counts %d requests, %d lost; the load sent %d", got, now.Traffic.Lost, sent)
	}
	byCode, byRelease := m.sums("steady_requests_total", "code"), m.sums("steady_requests_total", "release")
	if sum(byCode) != sent || byCode["lost"] != 0 {
		t.Errorf("metrics count %v; the load sent %d", byCode, sent)
	}
	m.eventually("all lines are written", func() bool { return len(m.lines()) >= sent })
	lines := m.lines()
	byID, logged, plain := map[string]logLine{}, map[string]int{}, 0
	for _, l := range lines {
		byID[l.ID] = l
		logged[strconv.Itoa(l.Release)]++
		if !l.Stream && l.Outcome == "answered" {
			plain++
		}
		if want := fmt.Sprintf("%s-api-%d-1", m.project, l.Release); l.Upstream != want || l.Path == "" || l.Status == 0 {
			t.Errorf("line %+v", l)
		}
	}
	if len(lines) != sent || len(byID) != sent {
		t.Errorf("%d lines of %d requests; the load sent %d", len(lines), len(byID), sent)
	}
	for _, a := range r.Answers() {
		if l, ok := byID[r.ID(a)]; !ok || l.Release != a.Release {
			t.Fatalf("%s was answered by release %d; its line: %+v", r.ID(a), a.Release, l)
		}
	}
	for release := 1; release <= 3; release++ {
		key := strconv.Itoa(release)
		if logged[key] == 0 || logged[key] != byRelease[key] {
			t.Errorf("release %d: %d lines, %d requests by the metrics", release, logged[key], byRelease[key])
		}
	}
	if got := sum(m.sums("steady_request_duration_seconds_count", "release")); got != plain {
		t.Errorf("%d latencies of %d answers", got, plain)
	}
	if got := m.sums("steady_serving_release", "service"); got["api"] != 3 {
		t.Errorf("serving %v", got)
	}
	if got := m.sums("steady_rollouts_total", "state"); got["done"] != 3 || sum(got) != 3 {
		t.Errorf("rollouts %v", got)
	}
	if _, said := m.ask("/metrics"); !strings.Contains(said, "steady_access_log_dropped_total 0\n") {
		t.Error("lines of the access log were dropped")
	}
	t.Logf("sent %d; by release %v, by code %v; minute %+v", sent, byRelease, byCode, now.Minute)
}

// keepSecrets looks for an environment value and for a query in all that is told.
func (m monitored) keepSecrets() {
	m.t.Helper()
	res, err := http.Get(m.api() + "/echo?token=" + secret)
	if err != nil {
		m.t.Fatal(err)
	}
	res.Body.Close()
	m.eventually("its line is written", func() bool {
		b, err := os.ReadFile(m.log)
		return err == nil && strings.Contains(string(b), "Go-http-client")
	})
	_, said := m.ask("/metrics")
	access, err := os.ReadFile(m.log)
	if err != nil {
		m.t.Fatal(err)
	}
	for what, text := range map[string]string{
		"metrics": said, "access log": string(access), "status": m.steady("status", "--json").out, "daemon's log": m.host.log.String(),
	} {
		if strings.Contains(text, secret) {
			m.t.Errorf("the %s tells a secret", what)
		}
	}
}

// survives kills the proxy: the metrics tell, and the log goes on.
func (m monitored) survives() {
	m.t.Helper()
	before := m.proxyPID()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
	m.eventually("another proxy is told of", func() bool {
		_, said := m.ask("/metrics")
		return strings.Contains(said, "steady_proxy_restarts_total 1\n") && strings.Contains(said, "steady_proxy_up 1\n")
	})
	lines := len(m.lines())
	m.eventually("the log goes on", func() bool {
		if res, err := http.Get(m.api() + "/echo"); err == nil {
			res.Body.Close()
		}
		return len(m.lines()) > lines
	})
	if ready, said := m.ask("/readyz"); ready != http.StatusOK {
		m.t.Errorf("readyz: %d\n%s", ready, said)
	}
}

func TestMonitor_WrongAddressesAndFilesAreRefusedInOneSentence(t *testing.T) {
	h := swiftHost(t, "e2e-monitor-wrong")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		flags []string
		code  int
		says  string
	}{
		"a taken address":     {[]string{"--metrics", taken.Addr().String()}, 2, "the address of the metrics is taken"},
		"no address":          {[]string{"--metrics", "nonsense"}, 2, "the address of the metrics cannot be used"},
		"a directory":         {[]string{"--access-log", h.dir}, 2, "open access log"},
		"an unknown format":   {[]string{"--access-log-format", "xml"}, 2, "it is none of json, combined"},
		"a missing directory": {[]string{"--access-log", filepath.Join(h.dir, "none", "a.log")}, 2, "open access log"},
	} {
		dir := shortDir(t)
		r := h.steady(append([]string{"daemon", "--state", dir, "--run-dir", dir, "--socket", filepath.Join(dir, "s.sock")}, c.flags...)...)
		if r.code != c.code || !strings.Contains(r.err, c.says) || strings.Count(r.err, "steady: error:") != 1 || !strings.Contains(r.err, "steady: hint:") {
			t.Errorf("%s: exit %d\n%s", name, r.code, r.err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*.sock")); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
}
