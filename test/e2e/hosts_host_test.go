package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/quic-go/quic-go/http3"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/acme"
	"gesalpai.ch/steady/test/image"
)

const grpcImage = "grpc-echo:e2e"

// grpcImages builds the image of test/grpc, once.
var grpcImages = sync.OnceValue(func() error {
	engine, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	defer engine.Close()
	return image.Build(context.Background(), engine, grpcImage, filepath.Join(repo, "test/grpc"))
})

// site is a stack that is reached by host, over TLS, at ports of its own.
type site struct {
	*host
	http, https string // addresses
}

func newSite(t *testing.T, h *host) *site {
	t.Helper()
	s := &site{host: h, http: "127.0.0.1:" + freePort(t), https: "127.0.0.1:" + freePort(t)}
	h.env["HTTP"], h.env["HTTPS"] = s.http, s.https
	return s
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	return number(t, port)
}

func number(t testing.TB, port string) int {
	t.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// closedPort is one on which nobody listens.
func closedPort(t testing.TB) int {
	t.Helper()
	return number(t, freePort(t))
}

// hosted writes a stack of which web answers for two hosts and grpc for a part of
// one; the first host's certificate can be had by HTTP-01 alone, the other's by
// TLS-ALPN-01 alone. It gives what the certificates are trusted by.
func (s *site) hosted() *x509.CertPool {
	s.t.Helper()
	if err := grpcImages(); err != nil {
		s.t.Fatal(err)
	}
	t := s.t.(*testing.T)
	byHTTP := acme.Start(t, acme.Validated{HTTP: portOf(t, s.http), TLS: closedPort(t)})
	byTLS := acme.Start(t, acme.Validated{HTTP: closedPort(t), TLS: portOf(t, s.https)})
	s.write("docker-compose.prod.yml", `x-steady:
  listen: { http: "${HTTP}", https: "${HTTPS}" }
  tls: { email: ops@example.ch, ca: "`+byHTTP.CA+`", ca_root: "`+byHTTP.CARoot+`" }
services:
  web:
    image: gesalp-api:v1
    expose: ["8000"]
    stop_grace_period: 5s
    environment: { RELEASE: "${GESALP_RELEASE:-1}" }
    x-steady:
      routes:
        - api.example.ch
        - { host: www.example.ch, tls: { ca: "`+byTLS.CA+`", ca_root: "`+byTLS.CARoot+`" } }
      probe: { path: /health }
      drain: { streams: 1s }
  grpc:
    image: `+grpcImage+`
    expose: ["9000"]
    stop_grace_period: 5s
    environment: { RELEASE: "${GESALP_RELEASE:-1}" }
    x-steady: { routes: [{ host: api.example.ch, path: /echo.Echo, protocol: grpc }] }
`)
	roots := byHTTP.Issued.Clone()
	roots.AddCert(byTLS.Root)
	return roots
}

// certificates asks steady for the state of all.
func (s *site) certificates() map[string]steady.CertificateStatus {
	s.t.Helper()
	r := s.steady("certificates", "--json")
	var all []steady.CertificateStatus
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		s.t.Fatalf("certificates: %v\n%s%s", err, r.out, r.err)
	}
	out := map[string]steady.CertificateStatus{}
	for _, c := range all {
		out[c.Host] = c
	}
	return out
}

// asker sends one request after another over one version of HTTP and counts what
// went wrong.
type asker struct {
	what   string
	ask    func() error
	n      atomic.Int64
	failed atomic.Int64
	first  atomic.Pointer[string]
}

// every runs the askers until the function it gives is called.
func every(pause time.Duration, all ...*asker) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, a := range all {
		wg.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				a.n.Add(1)
				if err := a.ask(); err != nil {
					said := fmt.Sprintf("request %d at %s: %v", a.n.Load(), time.Now().Format(time.TimeOnly), err)
					a.failed.Add(1)
					a.first.CompareAndSwap(nil, &said)
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// http3Client asks over QUIC alone, whatever the host says, at the site's address.
func (s *site) http3Client(host string, roots *x509.CertPool) *http.Client {
	tr := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host}}
	s.t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr, Timeout: soon}
}

func (s *site) http2Client(host string, roots *x509.CertPool) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host}, Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP2(true)
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: soon}
}

// post sends a body and wants it back.
func (s *site) post(c *http.Client, host, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodPost, "https://"+s.https+path, io.NopCloser(bytes.NewReader(body)))
	if err != nil {
		return nil, err
	}
	req.ContentLength, req.Host = int64(len(body)), host
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %s: %s", res.Status, got)
	case !bytes.Equal(got, body):
		return nil, fmt.Errorf("%d bytes sent, %d other bytes came back", len(body), len(got))
	}
	return res, nil
}

// call makes one gRPC call.
func (s *site) call(c *http.Client, host string, message []byte) error {
	n := len(message)
	framed := append([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, message...)
	res, err := s.post(c, host, "/echo.Echo/Say", framed)
	if err == nil && res.Trailer.Get("Grpc-Status") != "0" {
		err = fmt.Errorf("grpc-status %q", res.Trailer.Get("Grpc-Status"))
	}
	return err
}
