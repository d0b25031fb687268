package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

const soon = 60 * time.Second

// place is a directory with a Compose file, and the sockets and state of a steady
// of its own.
type place struct {
	t       *testing.T
	dir     string
	run     string
	state   string
	project string
	nginx   string // its configuration file
}

func newPlace(t *testing.T) *place {
	t.Helper()
	run, err := os.MkdirTemp("", "hdo") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' || r == '/' {
			return '-'
		}
		return r
	}, t.Name()))
	p := &place{t: t, dir: t.TempDir(), run: run, state: t.TempDir(), project: fmt.Sprintf("doctor-%.20s-%d", name, os.Getpid())}
	p.nginx = p.write("nginx.conf", "events {}\nhttp {}\n")
	t.Cleanup(p.sweep)
	return p
}

// sweep removes the project's containers and networks, whoever made them.
func (p *place) sweep() {
	for _, kind := range []string{"container", "network"} {
		args := []string{kind, "ls", "-q", "--filter", "label=com.docker.compose.project=" + p.project}
		if kind == "container" {
			args = append(args, "-a")
		}
		ids, _ := exec.Command("docker", args...).Output()
		for _, id := range strings.Fields(string(ids)) {
			rm := []string{kind, "rm", id}
			if kind == "container" {
				rm = []string{kind, "rm", "-f", id}
			}
			if said, err := exec.Command("docker", rm...).CombinedOutput(); err != nil {
				p.t.Errorf("docker %v: %v\n%s", rm, err, said)
			}
		}
	}
}

func (p *place) write(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// container starts one as docker compose would label it.
func (p *place) container(service string, args ...string) string {
	p.t.Helper()
	name := p.project + "-" + service
	run := append([]string{"run", "-d", "--name", name, "--label", "com.docker.compose.project=" + p.project,
		"--label", "com.docker.compose.service=" + service}, args...)
	said, err := exec.Command("docker", run...).CombinedOutput()
	if err != nil && !strings.Contains(string(said), "address already in use") && !strings.Contains(string(said), "port is already allocated") {
		p.t.Fatalf("docker %v: %v\n%s", run, err, said)
	}
	return name
}

// steady runs the binary; code is its exit status.
func (p *place) steady(args ...string) (code int, out, said string) {
	p.t.Helper()
	all := append([]string{"-f", filepath.Join(p.dir, "compose.yaml"), "-p", p.project, "--socket", filepath.Join(p.run, "steady.sock")}, args...)
	return p.exec(exec.Command(binary, all...))
}

func (p *place) exec(cmd *exec.Cmd) (code int, out, said string) {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode(), stdout.String(), stderr.String()
	case err != nil:
		p.t.Fatal(err)
	}
	return 0, stdout.String(), stderr.String()
}

func (p *place) doctorArgs(services ...string) []string {
	return append([]string{"doctor", "--json", "--run-dir", p.run, "--state", p.state, "--nginx-config", p.nginx}, services...)
}

// doctor gives the findings and the exit status.
func (p *place) doctor(services ...string) ([]steady.Finding, int) {
	p.t.Helper()
	code, out, said := p.steady(p.doctorArgs(services...)...)
	return p.findings(code, out, said), code
}

func (p *place) findings(code int, out, said string) []steady.Finding {
	p.t.Helper()
	var answer struct{ Findings []steady.Finding }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		p.t.Fatalf("exit %d, %v\n%s\n%s", code, err, out, said)
	}
	return answer.Findings
}

// rules lists what was found, "rule service", each once.
func rules(found []steady.Finding) []string {
	var out []string
	for _, f := range found {
		out = append(out, strings.TrimSpace(f.Rule+" "+f.Service))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// wants fails unless the finding is there and says all the words.
func wants(t *testing.T, found []steady.Finding, rule, service string, words ...string) {
	t.Helper()
	for _, f := range found {
		if f.Rule != rule || f.Service != service {
			continue
		}
		all := f.Text + "\n" + strings.Join(f.Lines, "\n")
		missing := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.Contains(all, w) })
		if len(missing) == 0 {
			return
		}
		t.Errorf("%s %s does not say %q:\n%s", rule, service, missing, all)
		return
	}
	t.Errorf("%s %s was not found in %v", rule, service, rules(found))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("it did not come to this: %s", what)
}

func inspected(t *testing.T, name, format string) string {
	t.Helper()
	out, err := exec.Command("docker", "inspect", "--format", format, name).Output()
	if err != nil {
		t.Fatalf("docker inspect %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// serves runs nginx with the place's configuration until the test ends.
func (p *place) serves(port int) {
	p.t.Helper()
	nginx := exec.Command("nginx", "-c", p.nginx, "-g", "daemon off;")
	var said bytes.Buffer
	nginx.Stderr = &said
	if err := nginx.Start(); err != nil {
		p.t.Fatalf("start nginx: %v; install it: scripts/packages.sh nginx-light", err)
	}
	p.t.Cleanup(func() {
		_ = nginx.Process.Signal(os.Interrupt)
		_ = nginx.Wait()
	})
	eventually(p.t, "nginx answers", func() bool { _, ok := p.get(port); return ok })
}

func (p *place) get(port int) (status int, ok bool) {
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		return 0, false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, true
}

// site is an nginx of the test's own: nothing of it lies outside the directory.
func (p *place) site(port, upstream int) {
	p.nginx = p.write("nginx.conf", fmt.Sprintf(`pid %[1]s/nginx.pid;
error_log %[1]s/error.log info;
events {}
http {
    access_log off;
    client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
    upstream shop { server 127.0.0.1:%[3]d; keepalive 4; }
    server { listen 127.0.0.1:%[2]d; server_name shop.example.org; location / { proxy_pass http://shop; } }
}
`, p.dir, port, upstream))
}
