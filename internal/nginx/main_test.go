package nginx_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/nginx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// front is a private nginx of the installed binary: its own configuration, laid
// out as Debian's, its own ports and its own processes.
type front struct {
	*nginx.Host
	t    *testing.T
	dir  string
	http uint16
	tls  uint16
}

const conf = `worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 256; }
http {
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  access_log off;
  include %[1]s/conf.d/*.conf;
  include %[1]s/sites-enabled/*;
}
`

// newFront lays nginx out and does not start it.
func newFront(t *testing.T) *front {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs nginx: make test runs it")
	}
	dir, err := os.MkdirTemp("", "nginx") // not the test's own: the workers are another user's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &front{t: t, dir: dir, http: freePort(t), tls: freePort(t)}
	f.Host = nginx.New(nginx.Options{ConfDir: f.dir})
	for _, d := range []string{"sites-available", "sites-enabled", "conf.d", "log"} {
		if err := os.Mkdir(filepath.Join(f.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f.write("nginx.conf", fmt.Sprintf(conf, f.dir))
	if err := os.Chmod(f.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return f
}

// run starts nginx and stops it with the test.
func (f *front) run() *front {
	f.t.Helper()
	if out, err := exec.Command("nginx", "-c", filepath.Join(f.dir, "nginx.conf")).CombinedOutput(); err != nil {
		f.t.Fatalf("start nginx: %v\n%s", err, out)
	}
	f.until("nginx runs", func() bool { return f.pid() > 0 })
	f.t.Cleanup(func() {
		pid := f.pid()
		_ = syscall.Kill(pid, syscall.SIGTERM)
		f.until("nginx has ended", func() bool { return syscall.Kill(pid, 0) != nil })
	})
	return f
}

func (f *front) pid() int {
	var pid int
	b, _ := os.ReadFile(filepath.Join(f.dir, "nginx.pid"))
	_, _ = fmt.Sscan(string(b), &pid)
	return pid
}

func (f *front) until(what string, ok func() bool) {
	f.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(20 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			f.t.Fatalf("it did not come to pass that %s\n%s", what, f.text("error.log"))
		}
	}
}

func (f *front) write(name, text string) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func (f *front) text(name string) string {
	b, _ := os.ReadFile(filepath.Join(f.dir, name))
	return string(b)
}

func (f *front) enable(name string) {
	f.t.Helper()
	if err := os.Symlink(filepath.Join(f.dir, "sites-available", name), filepath.Join(f.dir, "sites-enabled", name)); err != nil {
		f.t.Fatal(err)
	}
}

// site is a good site before the backend.
func (f *front) site(upstream string) steady.Site {
	return steady.Site{
		Name: "shop-api", Ref: "shop/api", Domains: []string{"api.example.org"}, Upstream: upstream, Timeout: 120 * time.Second, MaxBody: "100m",
		ACMEWebroot: f.dir, HTTPPort: f.http, HTTPSPort: f.tls, LogDir: filepath.Join(f.dir, "log"),
	}
}

// tree is every path under the configuration and what is in it.
func (f *front) tree() map[string]string {
	f.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(f.dir, path)
		if !strings.HasPrefix(rel, "sites-") && rel != "nginx.conf" {
			return nil
		}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			out[rel] = "-> " + to
			return err
		case d.Type().IsRegular():
			b, err := os.ReadFile(path)
			out[rel] = string(b)
			return err
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// backend answers with what it saw.
func backend(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// certify writes a certificate for the domains and its key.
func certify(t *testing.T, dir string, until time.Time, domains ...string) (certificate, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domains[0]}, DNSNames: domains,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	save := func(kind string, der []byte) string {
		f, err := os.CreateTemp(dir, "*.pem")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := pem.Encode(f, &pem.Block{Type: kind, Bytes: der}); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	return save("CERTIFICATE", der), save("PRIVATE KEY", private)
}
