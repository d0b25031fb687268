package doctor

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"gesalpai.ch/steady"
)

// heeds is a command that ends on SIGTERM.
const heeds = `trap 'exit 0' TERM; while :; do sleep 0.1; done`

func TestDoctor_FindsWhatIsBroken(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a Docker Engine: make test runs it")
	}
	p := newPlace(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	p.write("compose.yaml", fmt.Sprintf(`services:
  web:
    image: x
    environment:
      ORIGIN: ${HDO_NOBODY_SETS_THIS}
    ports:
      - "127.0.0.1:%s:80"
    env_file: gone.env
`, port))

	exits := p.container("exits", shell, "sh", "-c", "echo cannot find the database; exit 3")
	missing := p.container("again", "--restart", "always", shell, "sh", "-c", "echo again; exit 5")
	ill := p.container("ill", "--health-cmd", "echo teapot; false", "--health-interval", "100ms", "--health-retries", "1", shell, "sh", "-c", heeds)
	p.container("deaf", shell, "sh", "-c", "sleep 1000; true")
	p.container("init", "--init", shell, "sleep", "1000")
	p.container("fine", "--health-cmd", "true", "--health-interval", "100ms", "--memory", "64m", shell, "sh", "-c", heeds)
	p.container("late", "-p", "127.0.0.1:"+port+":80", shell, "sh", "-c", heeds)
	full := p.container("full", "--memory", "32m", "--tmpfs", "/fill", shell, "sh", "-c",
		"dd if=/dev/zero of=/fill/x bs=1M count=30 && echo full; "+heeds)
	killed := p.container("killed", "--memory", "16m", "--tmpfs", "/fill", shell, "sh", "-c", "exec dd if=/dev/zero of=/fill/x bs=1M count=64")

	eventually(t, "all is as broken as it should be", func() bool {
		return inspected(t, exits, "{{.State.Status}}") == "exited" &&
			inspected(t, ill, "{{.State.Health.Status}}") == "unhealthy" &&
			inspected(t, missing, "{{.RestartCount}}") >= "3" &&
			inspected(t, killed, "{{.State.OOMKilled}}") == "true" &&
			strings.Contains(logs(t, full), "full")
	})
	found, code := p.doctor()
	if code != 21 {
		t.Errorf("exit %d", code)
	}
	wants(t, found, "container-exited", "exits", "status 3", "cannot find the database")
	wants(t, found, "container-restarting", "again", "was restarted", "again")
	wants(t, found, "unhealthy", "ill", "failed its healthcheck", "teapot")
	wants(t, found, "stop-unheard", "deaf", "does not hear SIGTERM")
	wants(t, found, "container-not-started", "late", "did not start")
	wants(t, found, "memory-near-limit", "full", "of its memory limit of 32 MiB")
	wants(t, found, "oom-killed", "killed", "for want of memory, its limit is 16 MiB")
	wants(t, found, "port-taken", "web", "port "+port, "doctor.test")
	wants(t, found, "unset-variable", "web", "HDO_NOBODY_SETS_THIS")
	wants(t, found, "env-file-missing", "web", "gone.env")
	wants(t, found, "daemon-away", "")
	wants(t, found, "proxy-away", "")
	for _, f := range found {
		if f.Service == "fine" || f.Service == "init" || f.Rule == "stop-unheard" && f.Service != "deaf" {
			t.Errorf("it is fine, and yet: %s %s: %s", f.Rule, f.Service, f.Text)
		}
		if f.Rule == "port-taken" && f.Place.Line != 7 {
			t.Errorf("port-taken stands at %s", f.Place)
		}
	}

	found, _ = p.doctor("ill")
	if got := rules(found); !slices.Contains(got, "unhealthy ill") || slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, " exits") }) {
		t.Errorf("of ill alone: %v", got)
	}
	for _, dir := range []string{p.run, p.state} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("doctor wrote into %s: %v %v", dir, left, err)
		}
	}
}

func logs(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("docker", "logs", name).CombinedOutput()
	if err != nil {
		t.Fatalf("docker logs: %v\n%s", err, out)
	}
	return string(out)
}

func TestDoctor_ExplainsNginxs502(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a Docker Engine: make test runs it")
	}
	p := newPlace(t)
	port, dead := freePort(t), freePort(t)
	p.write("compose.yaml", fmt.Sprintf("services: {web: {image: x, ports: [\"127.0.0.1:%d:80\"]}}", dead))
	p.site(port, dead)
	p.serves(port)
	if status, _ := p.get(port); status != 502 {
		t.Fatalf("nginx answers %d: the test would hold of nothing", status)
	}
	found, _ := p.doctor()
	wants(t, found, "nginx-upstream-dead", "web", "shop.example.org goes to", fmt.Sprintf("127.0.0.1:%d", dead), "it is the port of web", "onnect() failed")

	// Docker itself answers behind it: the 502 of the next release.
	p.container("web", "-p", fmt.Sprintf("127.0.0.1:%d:8080", dead), shell, "httpd", "-f", "-p", "8080")
	eventually(t, "nginx reaches the container", func() bool { status, _ := p.get(port); return status == 404 })
	found, _ = p.doctor()
	wants(t, found, "nginx-past-steady", "web", "which is container "+p.project+"-web")
	if slices.Contains(rules(found), "nginx-upstream-dead web") {
		t.Errorf("it answers, and yet: %v", rules(found))
	}

	p.nginx = p.write("nginx.conf", "events {}\nhttp { server { listen 127.0.0.1:1; proxy_pass x; } }\n")
	found, _ = p.doctor()
	wants(t, found, "nginx-broken", "", "does not load", `"proxy_pass" directive is not allowed here`)
}

// The firewall is that of a network namespace which only this doctor is in: the
// Engine's socket is reached from there as well.
func TestDoctor_TellsOfPortsPastTheFirewall(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a Docker Engine: make test runs it")
	}
	p := newPlace(t)
	p.write("compose.yaml", "services: {open: {image: x}, local: {image: x}}")
	p.container("open", "-p", fmt.Sprintf("%d:80", freePort(t)), shell, "sh", "-c", heeds)
	p.container("local", "-p", fmt.Sprintf("127.0.0.1:%d:80", freePort(t)), shell, "sh", "-c", heeds)
	args := append([]string{"-f", p.dir + "/compose.yaml", "-p", p.project, "--socket", p.run + "/steady.sock"}, p.doctorArgs()...)
	for policy, want := range map[string]bool{"DROP": true, "ACCEPT": false} {
		within := exec.Command("unshare", append([]string{"-n", "sh", "-c", `iptables -P INPUT "$0" && exec "$@"`, policy, binary}, args...)...)
		found := p.findings(p.exec(within))
		got := slices.DeleteFunc(found, func(f steady.Finding) bool { return f.Rule != "port-past-firewall" })
		switch {
		case !want && len(got) > 0:
			t.Errorf("policy %s: %+v", policy, got)
		case want && (len(got) != 1 || got[0].Service != "open" || !strings.Contains(got[0].Text, "past iptables")):
			t.Errorf("policy %s: %+v", policy, got)
		}
	}
}
