package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestNginx_RefusalsLeaveNothingBehind sends bad input all the way: command,
// daemon, nginx.
func TestNginx_RefusalsLeaveNothingBehind(t *testing.T) {
	h := newHost(t, "e2e-nginx-refused")
	small(h, "")
	e := newEdge(t)
	e.certify(edgeDomain)
	e.write("sites-enabled/other", fmt.Sprintf("server { listen %s; server_name taken.gesalpai.test; }\n", e.tls))
	first := e.settled()
	e.nginx("-s", "reload")
	workers := e.settled(first...)
	install := func(more ...string) result {
		return h.steady(append([]string{"nginx", "install", "--conf-dir", e.dir, "--domain", edgeDomain, "--name", "site", "--service", "web",
			"--log-dir", filepath.Join(e.dir, "log"), "--http-port", e.http, "--https-port", e.tls}, more...)...)
	}
	pair := []string{"--certificate", e.cert, "--certificate-key", e.key}
	e.write("old.pem", e.read("cert.pem"))

	refused(t, install("--certificate", "/no/such.pem", "--certificate-key", e.key), 2, "/no/such.pem cannot be read")
	e.certify(edgeDomain) // another key for old.pem
	refused(t, install("--certificate", filepath.Join(e.dir, "old.pem"), "--certificate-key", e.key), 2, "are no pair")
	refused(t, install(append(pair, "--domain", "taken.gesalpai.test")...), 2, "taken.gesalpai.test is claimed by")
	refused(t, install("--service", "nobody"), 2, "has no service nobody")
	refused(t, install("--log-dir", "/no/such/place"), 15, "nginx -t fails with site site", "[emerg]", "/no/such/place")
	l, err := net.Listen("tcp4", "0.0.0.0:"+e.http)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	refused(t, install(), 15, "goes on with the old one", "Address already in use")
	refused(t, h.steady("nginx", "status", "site", "--conf-dir", e.dir), 2, "nginx has no site site")

	left, err := os.ReadDir(filepath.Join(e.dir, "sites-available"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in sites-available: %v, %v", left, err)
	}
	left, err = os.ReadDir(filepath.Join(e.dir, "sites-enabled"))
	if err != nil || len(left) != 1 {
		t.Errorf("left in sites-enabled: %v, %v", left, err)
	}
	if now := e.workers(); !slices.Equal(now, workers) {
		t.Errorf("workers %v, then %v", workers, now)
	}
}
