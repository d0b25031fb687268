package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	visitorNet  = "e2e-visitor" // network namespace
	visitorAddr = "10.213.77.2"
	hostAddr    = "10.213.77.1"
)

// visitor makes a machine of its own for a visitor and gives its dialler.
func visitor(t *testing.T) *http.Transport {
	t.Helper()
	return &http.Transport{DisableKeepAlives: true, DialContext: visitorsNetwork(t)}
}

// visitorsNetwork makes a machine of its own for a visitor and gives what dials there.
func visitorsNetwork(t *testing.T) func(ctx context.Context, network, addr string) (net.Conn, error) {
	t.Helper()
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v (as root): %v\n%s", args, err, out)
		}
	}
	ip("netns", "add", visitorNet)
	t.Cleanup(func() { ip("netns", "del", visitorNet) })
	ip("link", "add", "hma0", "type", "veth", "peer", "name", "eth0", "netns", visitorNet)
	ip("addr", "add", hostAddr+"/30", "dev", "hma0")
	ip("link", "set", "hma0", "up")
	ip("-n", visitorNet, "addr", "add", visitorAddr+"/30", "dev", "eth0")
	ip("-n", visitorNet, "link", "set", "eth0", "up")
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		type dialled struct {
			c   net.Conn
			err error
		}
		done := make(chan dialled)
		go func() { // its thread is in another network afterwards, and ends with it
			runtime.LockOSThread()
			ns, err := os.Open(filepath.Join("/run/netns", visitorNet))
			if err == nil {
				err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
				ns.Close()
			}
			if err != nil {
				done <- dialled{nil, err}
				return
			}
			var d net.Dialer
			c, err := d.DialContext(ctx, network, addr)
			done <- dialled{c, err}
		}()
		got := <-done
		return got.c, got.err
	}
}

// nginx runs one in front of the host's port; it appends to X-Forwarded-For what
// it sees, as the guide's does. It gives the port it listens on.
func nginx(t *testing.T, upstream string) string {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	upstream steady { server 127.0.0.1:%[2]s; keepalive 8; }
	server {
		listen %[3]s;
		location / {
			proxy_pass http://steady;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		}
	}
}
`, dir, upstream, port)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-c", path, "-p", dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("nginx (scripts/packages.sh nginx): %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	answers(t, "http://127.0.0.1:"+port)
	return port
}

func TestMaintenance_BehindNginxTheTeamIsKnownByItsAddressAndNobodyElseIs(t *testing.T) {
	h := newHost(t, "e2e-more-nginx")
	small(h, "")
	h.deploy(1)
	answers(t, h.api())
	front := "http://" + hostAddr + ":" + nginx(t, h.env["API_PORT"]) + "/echo"
	direct := "http://" + hostAddr + ":" + h.env["API_PORT"] + "/echo"
	from := visitor(t)
	ask := func(who, url string, want int, header ...string) {
		t.Helper()
		if code, body := onceWith(t, from, url, header...); code != want {
			t.Errorf("%s: %d %.60q, want %d", who, code, body, want)
		}
	}
	const forged = "X-Forwarded-For"
	ask("before", front, 200)
	ask("before, directly", direct, 200)

	h.maintain("on", "--allow", visitorAddr, "--allow-header", "X-Team: pass word")
	ask("one of the team", front, 200)
	ask("one of the team, directly", direct, 200)
	ask("one of the team who says to be another", front, 200, forged, "203.0.113.9")

	h.maintain("on", "--allow", "203.0.113.7/32", "--allow-header", "X-Team: pass word")
	ask("a visitor", front, 503)
	ask("a visitor, directly", direct, 503)
	ask("a visitor who forges an address", front, 503, forged, "203.0.113.7")
	ask("a visitor who forges several", front, 503, forged, "203.0.113.7, 127.0.0.1")
	ask("a visitor who forges an address, directly", direct, 503, forged, "203.0.113.7")
	ask("a visitor who forges loopback, directly", direct, 503, forged, "127.0.0.1")
	ask("one of the team by header", front, 200, "X-Team", "pass word")
	ask("one who guesses", front, 503, "X-Team", "password")

	h.maintain("on", "--allow", "203.0.113.7", "--trust", visitorAddr)
	ask("through a proxy that is trusted", direct, 200, forged, "203.0.113.7")
	ask("through a proxy that is trusted, another", direct, 503, forged, "203.0.113.8")
	h.maintain("off")
	ask("afterwards", front, 200)
	for _, where := range []string{h.log.String(), h.steady("maintenance", "status", "--json").out, h.steady("status", "--json").out} {
		if where == "" || strings.Contains(where, "pass word") {
			t.Error("the header's value is told")
		}
	}
}
