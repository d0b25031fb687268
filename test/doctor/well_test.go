package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// boots runs a daemon, and with it a proxy, until the test ends.
func (p *place) boots() {
	p.t.Helper()
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { log.Close() })
	d := exec.Command(binary, "daemon", "--state", p.state, "--run-dir", p.run)
	d.Stderr = log
	if err := d.Start(); err != nil {
		p.t.Fatal(err)
	}
	var proxy int
	p.t.Cleanup(func() {
		if code, _, said := p.steady("down"); code != 0 && !strings.Contains(said, "ever deployed") {
			p.t.Errorf("down: exit %d\n%s", code, said)
		}
		_ = d.Process.Signal(syscall.SIGTERM)
		_ = d.Wait()
		if proxy > 0 {
			_ = syscall.Kill(proxy, syscall.SIGTERM)
		}
	})
	eventually(p.t, "the daemon answers", func() bool {
		_, out, _ := p.steady("version")
		_, pid, ok := strings.Cut(strings.TrimSpace(out), "proxy pid ")
		if ok {
			_, err := fmt.Sscan(pid, &proxy)
			ok = err == nil
		}
		return ok
	})
}

func (p *place) deploys() {
	p.t.Helper()
	if code, _, said := p.steady("deploy", "all", "-y"); code != 0 {
		p.t.Fatalf("deploy: exit %d\n%s", code, said)
	}
}

// hosts are rules about this machine, whatever it is, and not about what the test
// has made.
var hosts = []string{"engine-old", "clock-adrift", "swap-used", "host-memory-low", "disk-nearly-full", "disk-full", "unit-missing", "unit-disabled"}

func TestDoctor_FindsNothingWhereAllIsWell(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a Docker Engine: make test runs it")
	}
	p := newPlace(t)
	port, front := freePort(t), freePort(t)
	compose := `services:
  web:
    image: %s
    command: sh -c "%s"
    environment: {RELEASE: "%d"}
    ports: ["127.0.0.1:%d:8080"]
    stop_grace_period: 1s
    x-steady: {probe: {kind: tcp}}
`
	const well = `trap 'exit 0' TERM; httpd -p 8080; while :; do sleep 0.1; done`
	p.write("compose.yaml", fmt.Sprintf(compose, shell, well, 1, port))
	p.site(front, port)
	p.boots()
	p.deploys()
	p.serves(front)
	if status, _ := p.get(front); status != 404 {
		t.Fatalf("through nginx and the proxy httpd answers %d", status)
	}
	found, _ := p.doctor()
	found = slices.DeleteFunc(found, func(f steady.Finding) bool { return slices.Contains(hosts, f.Rule) })
	if len(found) > 0 {
		t.Errorf("all is well, and yet: %+v", found)
	}

	// A release that does not hear its stop signal, then one more, for which it is
	// stopped: its whole grace passes.
	for release := 2; release <= 3; release++ {
		p.write("compose.yaml", fmt.Sprintf(compose, shell, "httpd -p 8080; sleep 1000; true", release, port))
		p.deploys()
	}
	found, code := p.doctor()
	if code != 20 {
		t.Errorf("exit %d: %v", code, rules(found))
	}
	wants(t, found, "stop-unheard", "web", "does not hear SIGTERM")
	wants(t, found, "stop-slow", "web", "the whole of its grace of 1s")

	// The daemon and all else is there; only what the proxy routes to is dead.
	name := inspectedName(t, p.project)
	if said, err := exec.Command("docker", "exec", name, "/bin/busybox", "killall", "httpd").CombinedOutput(); err != nil {
		t.Fatalf("kill httpd: %v\n%s", err, said)
	}
	eventually(t, "httpd is gone", func() bool { status, _ := p.get(port); return status >= 500 })
	began := time.Now()
	found, _ = p.doctor()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("doctor took %s", took)
	}
	wants(t, found, "upstream-dead", "", name)
	wants(t, found, "probe-fails", "web", name+" does not answer")
}

func inspectedName(t *testing.T, project string) string {
	t.Helper()
	out, err := exec.Command("docker", "ps", "--filter", "label=com.docker.compose.project="+project,
		"--filter", "label=ch.gesalpai.steady.release", "--format", "{{.Names}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
