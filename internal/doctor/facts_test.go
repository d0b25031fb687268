package doctor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/doctor"
)

const dump = `# configuration file /etc/nginx/nginx.conf:
user www-data;
http {
    log_format main '$remote_addr "{;}" # no comment';
    include /etc/nginx/sites-enabled/*;
    upstream api { # kept
        least_conn;
        server 127.0.0.1:8000 max_fails=0;
        server 127.0.0.1:8001 down;
        server unix:/run/api.sock;
        keepalive 32;
        keepalive_timeout 2m;
    }
}
# configuration file /etc/nginx/sites-enabled/api:
server {
    listen 443 ssl;
    server_name api.example.org www.example.org;
    if ($host = "a}b") { return 301 https://${host}$request_uri; }
    location / { proxy_pass http://api/v1/; }
    location /other { proxy_pass http://localhost; }
    location /tls { proxy_pass https://10.0.0.9; }
    location /sock { proxy_pass http://unix:/run/x.sock:/y; }
    location /var { proxy_pass http://$upstream; }
    include /etc/nginx/snippets/more;
}
# configuration file /etc/nginx/snippets/more:
location /more { grpc_pass grpc://127.0.0.1:50051; }
`

func TestNginx_KnowsWhereEachSiteGoes(t *testing.T) {
	const site, file = "api.example.org", "/etc/nginx/sites-enabled/api"
	want := []doctor.Pass{
		{Site: site, File: file, Addr: "127.0.0.1:8000", Upstream: "api", KeepAlive: true, IdleTimeout: 2 * time.Minute},
		{Site: site, File: file, Addr: "/run/api.sock", Upstream: "api", KeepAlive: true, IdleTimeout: 2 * time.Minute},
		{Site: site, File: file, Addr: "localhost:80"},
		{Site: site, File: file, Addr: "10.0.0.9:443"},
		{Site: site, File: file, Addr: "/run/x.sock"},
		{Site: "more", File: "/etc/nginx/snippets/more", Addr: "127.0.0.1:50051"},
	}
	if diff := cmp.Diff(want, doctor.ParsePasses(dump)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzNginx_NoConfigurationIsTooOdd(f *testing.F) {
	for _, seed := range []string{dump, "", "}", "{{{", "a{", `"`, `'\`, "${", "server{proxy_pass http://;}", "upstream{}", "# configuration file"} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) { doctor.ParsePasses(text) })
}

func TestNginx_ReadsItsTimes(t *testing.T) {
	for text, want := range map[string]time.Duration{"60": time.Minute, "60s": time.Minute, "2m": 2 * time.Minute, "1500ms": 1500 * time.Millisecond, "odd": 0} {
		if got := doctor.NginxTime(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestHost_ReadsWhatTheKernelTells(t *testing.T) {
	got := doctor.ParseMemory([]byte("MemTotal:       8000000 kB\nMemFree:  1 kB\nMemAvailable:    400 kB\nSwapTotal:  0 kB\nSwapFree: x\n"))
	if want := (doctor.Memory{Total: 8000000 << 10, Available: 400 << 10}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	// SIGTERM is 15, the 15th bit of the mask.
	for status, want := range map[string]bool{
		"NSpid:\t4711\t1\nSigCgt:\t0000000000000000\n":                            true,
		"NSpid:\t4711\t1\nSigCgt:\t0000000000004000\n":                            false,
		"NSpid:\t4711\nSigCgt:\t0000000000000000\n":                               false, // not in a namespace of its own
		"NSpid:\t4711\t8\nSigCgt:\t0000000000000000\n":                            false,
		"NSpid:\t4711\t1\nSigBlk:\t0000000000004000\nSigCgt:\t0000000000000000\n": false, // signalfd
		"Name:\ttini\nNSpid:\t4711\t1\nSigCgt:\t0000000000000000\n":               false,
		"NSpid:\t4711\t1\n": false,
	} {
		if got := doctor.Ignores(status, unix.SIGTERM); got != want {
			t.Errorf("%q: deaf %v, want %v", status, got, want)
		}
	}
}

func TestFirewall_DropsByPolicy(t *testing.T) {
	for rules, want := range map[string]bool{"-P INPUT DROP\n-A INPUT -j x": true, "-P INPUT ACCEPT\n-P FORWARD DROP": false} {
		if got := doctor.DropsByPolicy(rules); got != want {
			t.Errorf("%q: %v", rules, got)
		}
	}
	for policy, want := range map[string]bool{"drop": true, "accept": false} {
		text := "table inet f {\n\tchain i {\n\t\ttype filter hook input priority filter; policy " + policy + ";\n\t}\n}"
		if got := doctor.InputDrops(text); got != want {
			t.Errorf("%s: %v", policy, got)
		}
	}
	if doctor.InputDrops("type filter hook forward priority filter; policy drop;") {
		t.Error("a forward chain is taken for an input chain")
	}
}

// away answers like parts that are not there, and silent not at all.
type away struct{}

func (away) Examine(context.Context) (steady.Examined, error) {
	return steady.Examined{}, steady.ErrNoEngine
}
func (away) Daemon(context.Context) (doctor.Daemon, error) {
	return doctor.Daemon{}, steady.ErrNoDaemon
}
func (away) Proxy(context.Context) (doctor.Proxy, error) { return doctor.Proxy{}, steady.ErrNoProxy }
func (away) Stops(context.Context, string) []doctor.Stop { return nil }

type silent struct{ away }

func (silent) Examine(ctx context.Context) (steady.Examined, error) {
	<-ctx.Done()
	return steady.Examined{}, context.Cause(ctx)
}

func TestGather_EverythingAwayIsAFinding(t *testing.T) {
	report := doctor.Examine(t.Context(), doctor.Sources{Engine: away{}, Control: away{}, StateDir: t.TempDir()})
	for _, rule := range []string{"engine-away", "daemon-away", "proxy-away"} {
		if !has(report.Findings, rule) {
			t.Errorf("%s was not found in %+v", rule, report.Findings)
		}
	}
}

func TestGather_ASilentEngineIsWaitedForNoLongerThanAllowed(t *testing.T) {
	began := time.Now()
	report := doctor.Examine(t.Context(), doctor.Sources{Engine: silent{}, Control: away{}, StateDir: t.TempDir(), Patience: 100 * time.Millisecond})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if !has(report.Findings, "engine-away") {
		t.Errorf("engine-away was not found in %+v", report.Findings)
	}
}

func TestGather_FilesThatDoNotLoadAreAFinding(t *testing.T) {
	report := doctor.Examine(t.Context(), doctor.Sources{Engine: away{}, Control: away{}, FilesError: errors.New("no")})
	if !has(report.Findings, "files-broken") {
		t.Errorf("files-broken was not found in %+v", report.Findings)
	}
}

func has(found []steady.Finding, rule string) bool {
	for _, f := range found {
		if f.Rule == rule {
			return true
		}
	}
	return false
}
