package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady/test/acme"
	"gesalpai.ch/steady/test/load"
)

// edge is the nginx of the machine, real but private to a test: its own
// configuration, laid out as Debian's, its own ports and processes.
type edge struct {
	t         testing.TB
	dir       string
	http, tls string // ports
	ca        *acme.Server
	roots     *x509.CertPool
	cert, key string
}

const (
	edgeDomain    = "api.gesalpai.test"
	controlDomain = "control.gesalpai.test"
)

const edgeWorkers = 2

const edgeConf = `worker_processes 2;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  access_log off;
  include %[1]s/sites-enabled/*;
}
`

// newEdge starts an nginx without sites.
func newEdge(t testing.TB) *edge {
	t.Helper()
	e := &edge{t: t, dir: shortDir(t), http: freePort(t), tls: freePort(t)}
	for _, d := range []string{"sites-available", "sites-enabled", "log", "webroot"} {
		if err := os.MkdirAll(filepath.Join(e.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(e.dir, 0o755); err != nil { // the workers are another user's
		t.Fatal(err)
	}
	e.write("nginx.conf", fmt.Sprintf(edgeConf, e.dir))
	e.nginx()
	t.Cleanup(e.stop)
	e.settled()
	return e
}

// settled waits until exactly the workers of one generation run, none of those
// before, and gives them.
func (e *edge) settled(before ...string) []string {
	e.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(soon); ; {
		now := e.workers()
		if len(now) == edgeWorkers && !slices.ContainsFunc(now, func(pid string) bool { return slices.Contains(before, pid) }) {
			return now
		}
		select {
		case <-tick.C:
		case <-late:
			e.t.Fatalf("nginx's workers are %v, of the generation before %v", now, before)
		}
	}
}

// reloading does what makes nginx reload, and waits until the workers before, which
// accept a while longer, are gone.
func (e *edge) reloading(do func()) {
	e.t.Helper()
	before := e.workers()
	do()
	e.settled(before...)
}

// nginx runs the binary with the edge's configuration.
func (e *edge) nginx(args ...string) {
	e.t.Helper()
	args = append([]string{"-c", filepath.Join(e.dir, "nginx.conf")}, args...)
	if out, err := exec.Command("nginx", args...).CombinedOutput(); err != nil {
		e.t.Fatalf("nginx %v: %v\n%s", args, err, out)
	}
}

func (e *edge) stop() {
	pid := e.master()
	_ = syscall.Kill(pid, syscall.SIGTERM)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(soon); syscall.Kill(pid, 0) == nil; {
		select {
		case <-tick.C:
		case <-late:
			e.t.Errorf("nginx %d did not stop", pid)
			return
		}
	}
}

func (e *edge) master() int {
	var pid int
	_, _ = fmt.Sscan(e.read("nginx.pid"), &pid)
	return pid
}

// workers are the pids of the worker processes: a reload makes new ones.
func (e *edge) workers() []string {
	e.t.Helper()
	out, _ := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", e.master())) // none before it has written its pid
	pids := strings.Fields(string(out))
	slices.Sort(pids)
	return pids
}

func (e *edge) write(name, text string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
}

func (e *edge) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(e.dir, name))
	return string(b)
}

// webroot is from where nginx answers the challenges of an ACME server.
func (e *edge) webroot() string { return filepath.Join(e.dir, "webroot") }

// obtain gets a certificate from the ACME server, by way of what nginx serves of the
// webroot, and lays it where certbot would.
func (e *edge) obtain(domain string) error {
	ctx, cancel := context.WithTimeout(e.t.Context(), soon)
	defer cancel()
	chain, key, err := e.ca.Obtain(ctx, e.webroot(), domain)
	if err != nil {
		return err
	}
	live := filepath.Join("live", domain)
	if err := os.MkdirAll(filepath.Join(e.dir, live), 0o755); err != nil {
		return err
	}
	e.write(filepath.Join(live, "fullchain.pem"), string(chain))
	e.write(filepath.Join(live, "privkey.pem"), string(key))
	return nil
}

// certify makes a certificate for the domains that signs itself.
func (e *edge) certify(domains ...string) {
	e.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		e.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: domains, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		e.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		e.t.Fatal(err)
	}
	e.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	e.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	e.cert, e.key = filepath.Join(e.dir, "cert.pem"), filepath.Join(e.dir, "key.pem")
}

// load fires at nginx over TLS, for the domain.
func (e *edge) load(domain string, o load.Options) *load.Running {
	o.URL, o.Host, o.TLS = "https://127.0.0.1:"+e.tls, domain, &tls.Config{RootCAs: e.roots}
	return load.Start(o)
}
