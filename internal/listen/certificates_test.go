package listen_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady/internal/listen"
	"gesalpai.ch/steady/test/acme"
)

// shop shows certificates and answers challenges.
type shop struct {
	t         *testing.T
	certs     *listen.Certificates
	dir       string
	http, tls string // addresses
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, dir: filepath.Join(t.TempDir(), "certificates")}
	s.certs = listen.OpenCertificates(s.dir, slog.New(slog.DiscardHandler))
	t.Cleanup(s.certs.Close)
	s.http = s.serve(func(ln net.Listener) net.Listener { return ln }, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !s.certs.Challenge(w, r, host) {
			http.NotFound(w, r)
		}
	}))
	s.tls = s.serve(func(ln net.Listener) net.Listener { return tls.NewListener(ln, s.certs.Config("http/1.1")) }, http.NotFoundHandler())
	return s
}

func (s *shop) serve(wrap func(net.Listener) net.Listener, h http.Handler) string {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(wrap(ln)) }()
	s.t.Cleanup(func() { srv.Close(); <-done })
	return ln.Addr().String()
}

// acme is a host whose certificate comes from the server.
func (s *shop) acme(host string, server *acme.Server) listen.Certificate {
	return listen.Certificate{Host: host, CA: server.CA, CARoot: server.CARoot, HTTP: s.http, HTTPS: s.tls}
}

// shown is the certificate that a client sees who asks for the host.
func (s *shop) shown(host string, roots *x509.CertPool) (*x509.Certificate, error) {
	c, err := tls.Dial("tcp", s.tls, &tls.Config{ServerName: host, RootCAs: roots})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}

func (s *shop) state(host string) listen.CertificateState {
	s.t.Helper()
	for _, st := range s.certs.State() {
		if st.Host == host {
			return st
		}
	}
	s.t.Fatalf("no state of %s", host)
	return listen.CertificateState{}
}

func port(addr string) int { return int(netPort(addr)) }

func netPort(addr string) uint16 {
	a, _ := net.ResolveTCPAddr("tcp", addr)
	return uint16(a.Port)
}

// closedPort is one on which nobody listens.
func closedPort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return port(ln.Addr().String())
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(60 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("it did not come to pass that %s", what)
		}
	}
}

func TestCertificates_AreObtainedByEitherChallenge(t *testing.T) {
	for name, at := range map[string]func(*shop) acme.Validated{
		"HTTP-01":     func(s *shop) acme.Validated { return acme.Validated{HTTP: port(s.http), TLS: closedPort(s.t)} },
		"TLS-ALPN-01": func(s *shop) acme.Validated { return acme.Validated{HTTP: closedPort(s.t), TLS: port(s.tls)} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			server := acme.Start(t, at(s))
			s.certs.Put([]listen.Certificate{s.acme("api.example.ch", server)})
			until(t, "it is obtained", func() bool { return s.state("api.example.ch").Issuer != "" })
			cert, err := s.shown("api.example.ch", server.Issued)
			if err != nil {
				t.Fatal(err)
			}
			if st := s.state("api.example.ch"); st.Err != nil || !strings.Contains(st.Issuer, "Pebble") || !st.NotAfter.Equal(cert.NotAfter) {
				t.Errorf("state %+v", st)
			}
			private(t, s.dir)
		})
	}
}

// private checks that nobody else can read what is kept.
func private(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if !info.IsDir() {
			files++
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestCertificates_AreThereAgainAfterARestartWithoutTheServer(t *testing.T) {
	s := newShop(t)
	server := acme.Start(t, acme.Validated{HTTP: port(s.http), TLS: port(s.tls)})
	wanted := s.acme("api.example.ch", server)
	s.certs.Put([]listen.Certificate{wanted})
	until(t, "it is obtained", func() bool { return s.state("api.example.ch").Issuer != "" })
	again := listen.OpenCertificates(s.dir, slog.New(slog.DiscardHandler))
	defer again.Close()
	wanted.HTTP, wanted.HTTPS = "127.0.0.1:1", "127.0.0.1:2" // nothing could be obtained
	again.Put([]listen.Certificate{wanted})
	if st := again.State()[0]; st.Issuer == "" || st.Err != nil {
		t.Errorf("state %+v", st)
	}
}

func TestCertificates_OneThatRanOutWhileNobodyWasThereIsRenewedAtOnce(t *testing.T) {
	s := newShop(t)
	server := acme.Start(t, acme.Validated{HTTP: port(s.http), TLS: port(s.tls), Lifetime: 3 * time.Second})
	wanted := []listen.Certificate{s.acme("api.example.ch", server)}
	s.certs.Put(wanted)
	until(t, "it is obtained", func() bool { return s.state("api.example.ch").Issuer != "" })
	first := s.state("api.example.ch").NotAfter
	until(t, "it has run out", func() bool { return time.Now().After(first) })
	s.certs.Put(nil) // nobody asks for it any more
	s.certs.Put(wanted)
	until(t, "there is another", func() bool { return s.state("api.example.ch").NotAfter.After(first) })
	if _, err := s.shown("api.example.ch", server.Issued); err != nil {
		t.Error(err)
	}
}

func TestCertificates_AnotherServersTakesThePlaceOfTheFormer(t *testing.T) {
	s := newShop(t)
	at := acme.Validated{HTTP: port(s.http), TLS: port(s.tls)}
	one, two := acme.Start(t, at), acme.Start(t, at)
	s.certs.Put([]listen.Certificate{s.acme("api.example.ch", one)})
	until(t, "it is obtained", func() bool { return s.state("api.example.ch").Issuer != "" })
	s.certs.Put([]listen.Certificate{s.acme("api.example.ch", two)})
	if _, err := s.shown("api.example.ch", one.Issued); err != nil {
		t.Errorf("the former one is gone before the other is there: %v", err)
	}
	until(t, "the other server's is shown", func() bool { _, err := s.shown("api.example.ch", two.Issued); return err == nil })
}

func TestCertificates_ARefusalIsToldAndTriedAgain(t *testing.T) {
	s := newShop(t)
	server := acme.Start(t, acme.Validated{HTTP: port(s.http), TLS: port(s.tls)}, "refused.example.ch")
	s.certs.Put([]listen.Certificate{s.acme("refused.example.ch", server), s.acme("api.example.ch", server)})
	until(t, "it is refused", func() bool { return s.state("refused.example.ch").Err != nil })
	st := s.state("refused.example.ch")
	if !strings.Contains(st.Err.Error(), "rejectedIdentifier") || time.Until(st.Next) <= 0 || st.Issuer != "" {
		t.Errorf("state %+v", st)
	}
	if _, err := s.shown("refused.example.ch", server.Issued); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("handshake without certificate: %v", err)
	}
	until(t, "the other is obtained", func() bool { return s.state("api.example.ch").Issuer != "" })
}

func TestCertificates_AServerThatIsDownIsToldAndTriedAgain(t *testing.T) {
	s := newShop(t)
	down := &acme.Server{CA: "https://" + net.JoinHostPort("127.0.0.1", "1") + "/dir"}
	began := time.Now()
	s.certs.Put([]listen.Certificate{s.acme("api.example.ch", down)})
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Put took %s", took)
	}
	until(t, "the failure is told", func() bool { return s.state("api.example.ch").Err != nil })
	if st := s.state("api.example.ch"); !strings.Contains(st.Err.Error(), "refused") || st.Next.IsZero() {
		t.Errorf("state %+v", st)
	}
}

// pairOf writes a self-signed certificate for hosts and its key.
func pairOf(t *testing.T, dir string, until time.Duration, hosts ...string) (file, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: hosts,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(until)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file, keyFile = filepath.Join(dir, "site.pem"), filepath.Join(dir, "site.key")
	for name, block := range map[string]*pem.Block{file: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file, keyFile
}

func TestCertificates_FilesAreShownByHostAndReadAgain(t *testing.T) {
	s := newShop(t)
	dir := t.TempDir()
	file, key := pairOf(t, dir, time.Hour, "*.example.ch")
	wanted := []listen.Certificate{{Host: "*.example.ch", File: file, Key: key}}
	s.certs.Put(wanted)
	trusted := func() *x509.CertPool {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(b)
		return pool
	}
	first, err := s.shown("www.example.ch", trusted())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.shown("other.test", nil); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a host without certificate: %v", err)
	}
	pairOf(t, dir, 2*time.Hour, "*.example.ch")
	s.certs.Put(wanted)
	second, err := s.shown("www.example.ch", trusted())
	if err != nil || second.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Errorf("the file has changed, and the same is shown (%v)", err)
	}
	if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.certs.Put(wanted)
	if st := s.state("*.example.ch"); st.Err == nil || st.Issuer != second.Issuer.String() {
		t.Errorf("state %+v: the former one shall stay, and the error be told", st)
	}
}

func TestCertificates_CoverOnlyTheirHosts(t *testing.T) {
	s := newShop(t)
	file, key := pairOf(t, t.TempDir(), time.Hour, "a.test", "b.test", "c.test")
	lone, loneKey := pairOf(t, t.TempDir(), time.Hour, "c.test")
	s.certs.Put([]listen.Certificate{{Host: "a.test", File: file, Key: key}, {Host: "b.test", File: file, Key: key}, {Host: "c.test", File: lone, Key: loneKey}})
	for _, c := range []struct {
		named, host string
		want        bool
	}{{"a.test", "a.test", true}, {"a.test", "b.test", true}, {"c.test", "a.test", false}, {"a.test", "d.test", false}} {
		if got := s.certs.Covers(c.named, c.host); got != c.want {
			t.Errorf("%s covers %s: %v", c.named, c.host, got)
		}
	}
}

func TestLoadPair_SaysWhatSpeaksAgainstIt(t *testing.T) {
	file, key := pairOf(t, t.TempDir(), time.Hour, "a.test")
	_, otherKey := pairOf(t, t.TempDir(), time.Hour, "a.test")
	old, oldKey := pairOf(t, t.TempDir(), -time.Hour, "a.test")
	for name, c := range map[string]struct{ file, key, host, words string }{
		"good":            {file, key, "a.test", ""},
		"no such file":    {"/nowhere.pem", key, "a.test", "no such file"},
		"another's key":   {file, otherKey, "a.test", "private key does not match"},
		"another's host":  {file, key, "b.test", "is for a.test, not for b.test"},
		"a wildcard":      {file, key, "*.test", "not for *.test"},
		"expired":         {old, oldKey, "a.test", "expired on"},
		"no PEM in there": {key, key, "a.test", "certificate"},
	} {
		_, err := listen.LoadPair(c.file, c.key, c.host)
		if (err == nil) != (c.words == "") || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
