// Package acme runs a real ACME server, Let's Encrypt's Pebble, within a test.
package acme

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// Server is a Pebble to which every host name is 127.0.0.1.
type Server struct {
	CA     string            // URL of its directory
	CARoot string            // PEM file: whom to trust to be this server
	Issued *x509.CertPool    // with Root
	Root   *x509.Certificate // of what it issues
}

// Validated says at which ports of the hosts Pebble looks for challenges. One that
// nobody listens on makes that kind of challenge fail.
type Validated struct {
	HTTP, TLS int
	Lifetime  time.Duration // of what is issued; 0: Pebble's own
}

// Start runs the server until the test ends. Hosts in blocked are refused. At
// CARoot it keeps what it is trusted by, in a directory of the test.
func Start(t testing.TB, at Validated, blocked ...string) *Server {
	t.Helper()
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"} {
		if err := os.Setenv(name, value); err != nil { // read once, below
			t.Fatal(err)
		}
	}
	quiet := log.New(io.Discard, "", 0)
	if testing.Verbose() {
		quiet = log.New(lines{t}, "", 0)
	}
	store := db.NewMemoryStore()
	for _, host := range blocked {
		if err := store.AddBlockedDomain(host); err != nil {
			t.Fatal(err)
		}
	}
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "the default", ValidityPeriod: uint64(at.Lifetime.Seconds())}})
	validator := va.New(quiet, at.HTTP, at.TLS, false, everywhere(t), store)
	front := wfe.New(quiet, store, validator, authority, []string{"pebble.test"}, false, false, 1, 1)
	srv := httptest.NewTLSServer(front.Handler())
	t.Cleanup(srv.Close)
	s := &Server{CA: srv.URL + wfe.DirectoryPath, CARoot: rootFile(t, srv.Certificate()), Issued: x509.NewCertPool(), Root: authority.GetRootCert(0).Cert}
	s.Issued.AddCert(s.Root)
	return s
}

func rootFile(t testing.TB, root *x509.Certificate) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "root.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// everywhere is a name server to which every host is 127.0.0.1.
func everywhere(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		var m dns.Msg
		m.SetReply(q)
		for _, ask := range q.Question {
			if ask.Qtype == dns.TypeA {
				m.Answer = append(m.Answer, &dns.A{A: net.IPv4(127, 0, 0, 1),
					Hdr: dns.RR_Header{Name: ask.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}})
			}
		}
		_ = w.WriteMsg(&m)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.ActivateAndServe() }()
	t.Cleanup(func() { _ = srv.Shutdown(); <-done })
	return ln.Addr().String()
}

// lines writes to a test's log.
type lines struct{ t testing.TB }

func (l lines) Write(b []byte) (int, error) {
	defer func() { _ = recover() }() // Pebble outlives the test that logs
	l.t.Logf("pebble: %s", b)
	return len(b), nil
}
