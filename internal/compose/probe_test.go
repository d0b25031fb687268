package compose_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func httpProbe(port uint16, path string, change ...func(*steady.Probe)) steady.Probe {
	p := steady.Probe{Kind: steady.ProbeHTTP, Scheme: "http", Port: port, Path: path}
	for _, c := range change {
		c(&p)
	}
	return p
}

func execProbe(argv ...string) steady.Probe {
	return steady.Probe{Kind: steady.ProbeExec, Command: argv}
}

func shellProbe(line string) steady.Probe { return execProbe("/bin/sh", "-c", line) }

func tls(p *steady.Probe)  { p.Scheme = "https" }
func head(p *steady.Probe) { p.Method = "HEAD" }
func only200(p *steady.Probe) {
	p.Expect = []int{200}
}

func header(k, v string) func(*steady.Probe) {
	return func(p *steady.Probe) { p.Header = map[string]string{k: v} }
}

// disguises are healthchecks as they stand in Compose files: what is asked.
var disguises = []struct {
	test []string
	want steady.Probe
}{
	// curl
	{[]string{"CMD", "curl", "-f", "http://localhost:8000/health"}, httpProbe(8000, "/health")},
	{[]string{"CMD", "curl", "--fail", "http://127.0.0.1:8000"}, httpProbe(8000, "/")},
	{[]string{"CMD", "/usr/bin/curl", "-fsS", "-o", "/dev/null", "http://localhost:8000/"}, httpProbe(8000, "/")},
	{[]string{"CMD", "curl", "-sfo/dev/null", "-m5", "localhost/up"}, httpProbe(80, "/up")},
	{[]string{"CMD", "curl", "-f", "--max-time=5", "--retry", "3", "http://[::1]:9000/a?b=c&d=e"}, httpProbe(9000, "/a?b=c&d=e")},
	{[]string{"CMD", "curl", "-fk", "https://localhost/health"}, httpProbe(443, "/health", tls)},
	{[]string{"CMD", "curl", "-fI", "http://localhost/"}, httpProbe(80, "/", head)},
	{[]string{"CMD", "curl", "-f", "-X", "GET", "-H", "Host: shop.test", "http://0.0.0.0:80/"}, httpProbe(80, "/", header("Host", "shop.test"))},
	{[]string{"CMD", "sh", "-c", "curl -f http://localhost:1/ || exit 1"}, httpProbe(1, "/")},
	{[]string{"CMD-SHELL", "curl -f http://localhost:8000/health || exit 1"}, httpProbe(8000, "/health")},
	{[]string{"CMD-SHELL", "curl --silent --fail 'http://localhost:8000/health?a=b' > /dev/null 2>&1 || exit 1"}, httpProbe(8000, "/health?a=b")},
	{[]string{"CMD-SHELL", `curl -f -H "Accept: text/plain" "http://localhost:8000/" || (exit 1)`}, httpProbe(8000, "/", header("Accept", "text/plain"))},
	{[]string{"CMD-SHELL", "curl -f http://localhost:8000/?x=[1] || false"}, httpProbe(8000, "/?x=[1]")},
	{[]string{"CMD", "curl", "http://localhost:8000/"}, execProbe("curl", "http://localhost:8000/")}, // any status will do for it
	{[]string{"CMD", "curl", "-f", "http://db:8000/"}, execProbe("curl", "-f", "http://db:8000/")},
	{[]string{"CMD", "curl", "-f", "http://u:p@localhost/"}, execProbe("curl", "-f", "http://u:p@localhost/")},
	{[]string{"CMD", "curl", "-f", "-X", "POST", "http://localhost/"}, execProbe("curl", "-f", "-X", "POST", "http://localhost/")},
	{[]string{"CMD", "curl", "-f", "-d", "x", "http://localhost/"}, execProbe("curl", "-f", "-d", "x", "http://localhost/")},
	{[]string{"CMD", "curl", "-f", "--unix-socket", "/s", "http://localhost/"}, execProbe("curl", "-f", "--unix-socket", "/s", "http://localhost/")},
	{[]string{"CMD", "curl", "-f", "http://localhost/", "http://localhost/b"}, execProbe("curl", "-f", "http://localhost/", "http://localhost/b")},
	{[]string{"CMD", "curl", "-f", "ftp://localhost/"}, execProbe("curl", "-f", "ftp://localhost/")},
	{[]string{"CMD", "curl", "-f", "http://localhost:99999/"}, execProbe("curl", "-f", "http://localhost:99999/")},
	{[]string{"CMD", "curl", "-f"}, execProbe("curl", "-f")},
	{[]string{"CMD", "curl", "-f", "-m"}, execProbe("curl", "-f", "-m")},
	{[]string{"CMD-SHELL", "curl -f http://localhost/ | grep -q ok"}, shellProbe("curl -f http://localhost/ | grep -q ok")},
	{[]string{"CMD-SHELL", "curl -f http://localhost/ && test -f /ok"}, shellProbe("curl -f http://localhost/ && test -f /ok")},
	{[]string{"CMD-SHELL", "curl -f http://localhost:$$PORT/"}, shellProbe("curl -f http://localhost:$PORT/")},
	{[]string{"CMD-SHELL", `curl -f "http://localhost:$$PORT/"`}, shellProbe(`curl -f "http://localhost:$PORT/"`)},
	{[]string{"CMD-SHELL", "curl -f http://localhost/ || kill 1"}, shellProbe("curl -f http://localhost/ || kill 1")},
	{[]string{"CMD-SHELL", "curl -f 'http://localhost/"}, shellProbe("curl -f 'http://localhost/")},
	// wget
	{[]string{"CMD", "wget", "--no-verbose", "--tries=1", "--spider", "http://localhost:8080/healthz"}, httpProbe(8080, "/healthz")},
	{[]string{"CMD", "wget", "-qO-", "http://localhost:8080/"}, httpProbe(8080, "/")},
	{[]string{"CMD", "wget", "-nv", "-t1", "-T", "3", "-O", "/dev/null", "http://localhost:8080/"}, httpProbe(8080, "/")},
	{[]string{"CMD-SHELL", "wget --quiet --spider --no-check-certificate https://localhost:8443/x || exit 1"}, httpProbe(8443, "/x", tls)},
	{[]string{"CMD", "wget", "-q", "--header=X-A: b", "--spider", "localhost:1"}, httpProbe(1, "/", header("X-A", "b"))},
	{[]string{"CMD", "wget", "-O", "/data/file", "http://localhost/"}, execProbe("wget", "-O", "/data/file", "http://localhost/")},
	{[]string{"CMD", "wget", "--post-data=x", "http://localhost/"}, execProbe("wget", "--post-data=x", "http://localhost/")},
	// python
	{[]string{"CMD", "python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8000/health')"}, httpProbe(8000, "/health")},
	{[]string{"CMD-SHELL", `python3 -c "import urllib.request; urllib.request.urlopen('http://localhost:8000/health', timeout=2).read()" || exit 1`}, httpProbe(8000, "/health")},
	{[]string{"CMD", "python3", "-c", "import urllib.request,sys; sys.exit(0 if urllib.request.urlopen('http://localhost:8000/h').status == 200 else 1)"}, httpProbe(8000, "/h", only200)},
	{[]string{"CMD", "python3.12", "-c", "import requests; requests.get('http://localhost:8000/h').raise_for_status()"}, httpProbe(8000, "/h")},
	{[]string{"CMD", "python", "-c", "import httpx; assert httpx.get('http://127.0.0.1:8000/h').status_code == 200"}, httpProbe(8000, "/h", only200)},
	{[]string{"CMD", "python", "-c", "import requests; requests.get('http://localhost:8000/h')"}, execProbe("python", "-c", "import requests; requests.get('http://localhost:8000/h')")},
	{[]string{"CMD", "python", "-c", "import requests; assert 'ok' in requests.get('http://localhost:8000/h').text"}, execProbe("python", "-c", "import requests; assert 'ok' in requests.get('http://localhost:8000/h').text")},
	{[]string{"CMD", "python", "/app/check.py"}, execProbe("python", "/app/check.py")},
	// node
	{[]string{"CMD", "node", "-e", "fetch('http://localhost:3000/health').then(r => process.exit(r.ok ? 0 : 1)).catch(() => process.exit(1))"}, httpProbe(3000, "/health")},
	{[]string{"CMD", "node", "-e", "require('http').get('http://localhost:3000/health', r => process.exit(r.statusCode === 200 ? 0 : 1))"}, httpProbe(3000, "/health", only200)},
	{[]string{"CMD", "node", "-e", "require('http').get('http://localhost:3000/', (r) => {if (r.statusCode !== 200) process.exit(1)})"}, httpProbe(3000, "/", only200)},
	{[]string{"CMD", "node", "-e", "fetch('http://localhost:3000/health')"}, execProbe("node", "-e", "fetch('http://localhost:3000/health')")},
	{[]string{"CMD", "node", "health.js"}, execProbe("node", "health.js")},
	// the rest
	{[]string{"CMD", "/app", "health"}, execProbe("/app", "health")},
	{[]string{"CMD-SHELL", "pg_isready -U postgres"}, shellProbe("pg_isready -U postgres")},
	{[]string{"CMD", "redis-cli", "-a", "secret", "ping"}, execProbe("redis-cli", "-a", "secret", "ping")},
	{[]string{"CMD-SHELL", "nc -z localhost 8000"}, shellProbe("nc -z localhost 8000")},
}

func TestProbe_SeesThroughAnHTTPRequestInDisguise(t *testing.T) {
	for _, c := range disguises {
		t.Run(fmt.Sprint(c.test), func(t *testing.T) {
			test, err := json.Marshal(c.test)
			if err != nil {
				t.Fatal(err)
			}
			p := loadText(t, "services: {web: {image: x, healthcheck: {test: "+string(test)+"}}}")
			got := p.Specs[0].Probe
			got = steady.Probe{Kind: got.Kind, Scheme: got.Scheme, Port: got.Port, Path: got.Path,
				Method: got.Method, Header: got.Header, Expect: got.Expect, Command: got.Command}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProbe_CauseHoldsNoArgument(t *testing.T) {
	p := loadText(t, `services: {web: {image: x, healthcheck: {test: ["CMD", "redis-cli", "-a", "secret", "ping"]}}}`)
	if got, want := p.Specs[0].Probe.Cause, "healthcheck: redis-cli"; got != want {
		t.Errorf("cause is %q, want %q", got, want)
	}
	p = loadText(t, `services: {web: {image: x, healthcheck: {test: ["CMD", "curl", "-f", "http://localhost/health?key=secret"]}}}`)
	if got, want := p.Specs[0].Probe.Cause, "healthcheck: curl asks for /health"; got != want {
		t.Errorf("cause is %q, want %q", got, want)
	}
}

func TestProbe_WithoutAHealthcheckFollowsThePorts(t *testing.T) {
	for service, want := range map[string]steady.Probe{
		`{image: x}`:                                                                 {Kind: steady.ProbeExposed, Settle: steady.DefaultExposedSettle},
		`{image: x, expose: ["8000"]}`:                                               {Kind: steady.ProbeExposed, Settle: steady.DefaultExposedSettle},
		`{image: x, ports: ["53:53/udp"]}`:                                           {Kind: steady.ProbeExposed, Settle: steady.DefaultExposedSettle},
		`{image: x, network_mode: host}`:                                             {Kind: steady.ProbeRunning, Settle: steady.DefaultSettle},
		`{image: x, network_mode: "container:y"}`:                                    {Kind: steady.ProbeRunning, Settle: steady.DefaultSettle},
		`{image: x, ports: ["53:53/udp", "81:80", "82:90"]}`:                         {Kind: steady.ProbeTCP, Port: 80},
		`{image: x, ports: ["81:80"], healthcheck: {disable: true}}`:                 {Kind: steady.ProbeTCP, Port: 80},
		`{image: x, ports: ["81:80"], healthcheck: {test: ["NONE"]}}`:                {Kind: steady.ProbeTCP, Port: 80},
		`{image: x, ports: ["81:80"], healthcheck: {interval: 3s}}`:                  {Kind: steady.ProbeDocker},
		`{image: x, network_mode: none, healthcheck: {test: "curl -f localhost"}}`:   {Kind: steady.ProbeExec, Command: []string{"/bin/sh", "-c", "curl -f localhost"}},
		`{image: x, network_mode: host, healthcheck: {test: "curl -f localhost:1"}}`: {Kind: steady.ProbeHTTP, Port: 1},
	} {
		got := loadText(t, "services: {web: "+service+"}").Specs[0].Probe
		got = steady.Probe{Kind: got.Kind, Port: got.Port, Settle: got.Settle, Command: got.Command}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", service, diff)
		}
	}
}

func TestProbe_WaitsAsLongAsDockerWould(t *testing.T) {
	for health, want := range map[string]time.Duration{
		`{test: ["CMD", "a"]}`: 3 * (30 + 30) * time.Second,
		`{test: ["CMD", "a"], interval: 10s, timeout: 5s, retries: 3, start_period: 30s}`: 75 * time.Second,
		`{test: ["CMD", "a"], interval: 0s, timeout: 1s, retries: 0}`:                     3 * 31 * time.Second,
	} {
		if got := loadText(t, "services: {web: {image: x, healthcheck: "+health+"}}").Specs[0].Probe.Deadline; got != want {
			t.Errorf("%s: deadline is %v, want %v", health, got, want)
		}
	}
	if got := loadText(t, "services: {web: {image: x}}").Specs[0].Probe.Deadline; got != steady.DefaultProbeDeadline {
		t.Errorf("without a healthcheck the deadline is %v, want %v", got, steady.DefaultProbeDeadline)
	}
}
