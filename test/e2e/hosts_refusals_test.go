package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady/test/acme"
)

// shown is a stack of one service behind one host; more goes under its x-steady.
func (s *site) shown(more string) {
	s.t.Helper()
	s.write("docker-compose.prod.yml", `x-steady:
  listen: { http: "${HTTP}", https: "${HTTPS}" }
services:
  web:
    image: gesalp-api:v1
    expose: ["8000"]
    stop_grace_period: 5s
    environment: { RELEASE: "${GESALP_RELEASE:-1}" }
    x-steady:
      probe: { path: /health }
      drain: { streams: 1s }
`+more)
}

// pair writes a certificate for the host and its key beside the Compose file.
func (s *site) pair(host string, until time.Time) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{host}, NotBefore: until.Add(-96 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("site.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s.write("site.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// trusts is what trusts the pair that was written last.
func (s *site) trusts() *x509.CertPool {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "site.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b)
	return pool
}

const byFiles = "      tls: { certificate: site.pem, key: site.key }\n      routes: [files.example.ch]\n"

// serves checks that the release answers over TLS and that nothing else runs.
func (s *site) serves(release int) {
	s.t.Helper()
	res, err := s.post(s.http2Client("files.example.ch", s.trusts()), "files.example.ch", "/echo", []byte("x"))
	if err != nil || res.Header.Get("X-Release") != fmt.Sprint(release) {
		s.t.Errorf("release %d does not answer: %v, %v", release, res, err)
	}
	if got := s.containers(); len(got) != 1 {
		s.t.Errorf("containers %v, want one", got)
	}
}

func TestHosts_BadInputIsRefusedBeforeAnythingChanges(t *testing.T) {
	s := newSite(t, newHost(t, "e2e-host-bad"))
	s.shown(byFiles)
	s.pair("files.example.ch", time.Now().Add(24*time.Hour))
	s.deploy(1)
	s.serves(1)
	next := map[string]string{"GESALP_RELEASE": "2"}
	good := func(name string) string {
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	cert, key := good("site.pem"), good("site.key")
	mend := func() { s.write("site.pem", cert); s.write("site.key", key); s.shown(byFiles) }
	t.Run("a broken certificate", func(t *testing.T) {
		defer mend()
		s.write("site.pem", "broken")
		refused(t, s.with(next, "plan"), 3, "site.pem", "nothing has been changed")
		refused(t, s.with(next, "deploy", "-y"), 3, "files.example.ch of e2e-host-bad/web", "site.pem", "release 1 is still serving")
	})
	t.Run("another's key", func(t *testing.T) {
		defer mend()
		s.pair("files.example.ch", time.Now().Add(time.Hour))
		s.write("site.pem", cert)
		refused(t, s.with(next, "deploy", "-y"), 3, "private key does not match")
	})
	t.Run("an expired certificate", func(t *testing.T) {
		defer mend()
		s.pair("files.example.ch", time.Now().Add(-time.Hour))
		refused(t, s.with(next, "deploy", "-y"), 3, "expired on")
	})
	t.Run("a certificate for another host", func(t *testing.T) {
		defer mend()
		s.pair("other.example.ch", time.Now().Add(time.Hour))
		refused(t, s.with(next, "deploy", "-y"), 3, "is for other.example.ch, not for files.example.ch")
	})
	t.Run("a service that does not exist", func(t *testing.T) {
		defer mend()
		s.shown(byFiles)
		s.write("override.yml", "x-steady:\n  routes:\n    - { host: more.example.ch, service: wep }\n")
		defer os.Remove(filepath.Join(s.dir, "override.yml"))
		refused(t, s.with(next, "deploy", "-y"), 2, "override.yml:3", "there is no service wep", "web")
	})
	t.Run("a port that does not exist", func(t *testing.T) {
		defer mend()
		s.shown(strings.Replace(byFiles, "[files.example.ch]", "[{ host: files.example.ch, port: 9999 }]", 1))
		refused(t, s.with(next, "plan"), 2, "docker-compose.prod.yml:", "service web has no port 9999; it declares 8000")
	})
	t.Run("a host that another project has", func(t *testing.T) { s.claimedTwice(t) })
	s.serves(1)
	s.deploy(2)
	s.serves(2)
	s.pair("files.example.ch", time.Now().Add(48*time.Hour)) // a renewal by the operator
	s.deploy(3)
	s.serves(3)
}

// claimedTwice deploys the same file under another name.
func (s *site) claimedTwice(t *testing.T) {
	const other = "e2e-host-other"
	refused(t, s.steady("-p", other, "plan"), 3, "files.example.ch is claimed twice", "e2e-host-bad/web and e2e-host-other/web")
	refused(t, s.steady("-p", other, "deploy", "-y"), 3, "files.example.ch is claimed twice", "e2e-host-bad/web and e2e-host-other/web")
	out, err := exec.Command("docker", "ps", "-a", "--filter", "label=com.docker.compose.project="+other, "--format", "{{.Names}}").Output()
	if err != nil || len(out) > 0 {
		t.Errorf("left behind: %s %v", out, err)
	}
	refused(t, s.steady("-p", other, "status"), 2, "no project "+other+" was ever deployed here")
}

func TestHosts_APortThatIsTakenIsNamedAndNothingIsLeft(t *testing.T) {
	s := newSite(t, newHost(t, "e2e-host-taken"))
	s.shown("      tls: off\n      routes: [plain.example.ch]\n")
	l, err := net.Listen("tcp", s.http)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, s.steady("deploy", "-y"), 3, fmt.Sprintf("port %d", portOf(t, s.http)), fmt.Sprint(os.Getpid()))
	if got := s.all(); len(got) != 0 {
		t.Errorf("containers %v", got)
	}
	l.Close()
	s.deploy(1)
}

func TestHosts_AnACMEServerThatRefusesOrIsDownHindersNoDeploy(t *testing.T) {
	s := newSite(t, newHost(t, "e2e-host-refused"))
	server := acme.Start(t, acme.Validated{HTTP: portOf(t, s.http), TLS: portOf(t, s.https)}, "refused.example.ch")
	s.shown(`      routes:
        - { host: refused.example.ch, tls: { ca: "` + server.CA + `", ca_root: "` + server.CARoot + `" } }
        - { host: down.example.ch, tls: { ca: "https://127.0.0.1:` + fmt.Sprint(closedPort(t)) + `/dir" } }
        - { host: plain.example.ch, tls: off }
`)
	if plan := s.steady("plan"); !strings.Contains(plan.out, "obtained in the background") || !strings.Contains(plan.out, "http://plain.example.ch to port 8000; without TLS") {
		t.Errorf("plan:\n%s%s", plan.out, plan.err)
	}
	if r := s.deploy(1); !strings.Contains(r.err, "no certificate for refused.example.ch yet") {
		t.Errorf("deploy does not say that there is no certificate:\n%s", r.err)
	}
	s.deploy(2)
	s.eventually("both failures are told", func() bool {
		all := s.certificates()
		return all["refused.example.ch"].Error != "" && all["down.example.ch"].Error != ""
	})
	said := s.steady("certificates").out
	for _, words := range []string{"rejectedIdentifier", "connection refused", "again in"} {
		if !strings.Contains(said, words) {
			t.Errorf("certificates lack %q:\n%s", words, said)
		}
	}
	if _, err := s.post(s.http2Client("refused.example.ch", nil), "refused.example.ch", "/echo", []byte("x")); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("without a certificate: %v", err)
	}
}
