package proxy_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// site is a self-signed certificate in files.
type site struct {
	steady.TLS
	pool *x509.CertPool
}

func newSite(t *testing.T, hosts ...string) site {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: hosts, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := site{pool: x509.NewCertPool()}
	dir := t.TempDir()
	s.Certificate, s.Key = filepath.Join(dir, "site.pem"), filepath.Join(dir, "site.key")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.pool.AppendCertsFromPEM(cert)
	for name, b := range map[string][]byte{s.Certificate: cert, s.Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// secure has the rig's listener begin with TLS, with the site's certificate for
// the hosts of the matches.
func (h *hosts) secure(s site, matches ...steady.Match) {
	h.t.Helper()
	l := h.listener(matches...)
	l.TLS = true
	h.version++
	table := steady.Table{Version: h.version, Listeners: []steady.Listener{l}, Pools: h.pools}
	seen := map[string]bool{}
	for _, m := range matches {
		if !seen[m.Host] {
			table.Certificates = append(table.Certificates, steady.Certificate{Host: m.Host, TLS: s.TLS})
		}
		seen[m.Host] = true
	}
	if err := h.client.Serve(h.t.Context(), table); err != nil {
		h.t.Fatal(err)
	}
}

// https is a client of the rig that speaks one version of HTTP.
func (h *hosts) https(s site, version int) *http.Client {
	h.t.Helper()
	conf := &tls.Config{RootCAs: s.pool}
	if version == 3 {
		tr := &http3.Transport{TLSClientConfig: conf, QUICConfig: &quic.Config{}}
		h.t.Cleanup(func() { tr.Close() })
		return &http.Client{Transport: tr}
	}
	tr := &http.Transport{TLSClientConfig: conf, Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(version == 1)
	tr.Protocols.SetHTTP2(version == 2)
	h.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// to rewrites a request so that it goes to the rig, whatever its host.
func (h *hosts) to(c *http.Client, host string) *http.Client {
	switch tr := c.Transport.(type) {
	case *http.Transport:
		tr.TLSClientConfig.ServerName = host
	case *http3.Transport:
		tr.TLSClientConfig.ServerName = host
	}
	return c
}

// post sends a body and gives the answer whole.
func (h *hosts) post(c *http.Client, host, path, body string) (*http.Response, string) {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "https://"+h.addr+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Host = host
	res, err := h.to(c, host).Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res, string(b)
}

// parrot tells what it got.
var parrot = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"), b)
})

func TestTLS_EveryVersionOfHTTPIsAnswered(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "api.test")
	h.pools[0].Upstreams = []steady.Upstream{backend(t, "echo", 1, parrot)}
	h.secure(s, to("api.test", "/", "api"))
	for version := 1; version <= 3; version++ {
		c := h.https(s, version)
		for range 3 { // the connection kept
			res, body := h.post(c, "api.test", "/x", "hello")
			if res.ProtoMajor != version || body != "HTTP/1.1 https api.test hello" {
				t.Errorf("version %d: %s %q", version, res.Proto, body)
			}
			if _, port, _ := net.SplitHostPort(h.addr); res.Header.Get("Alt-Svc") != `h3=":`+port+`"; ma=86400` {
				t.Errorf("version %d: Alt-Svc %q", version, res.Header.Get("Alt-Svc"))
			}
		}
	}
}

func TestTLS_AClientsWordOfWhoIsBeforeItIsNotPassedOn(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "api.test")
	h.pools[0].Upstreams = []steady.Upstream{backend(t, "xff", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Forwarded-For"))
	}))}
	h.secure(s, to("api.test", "/", "api"))
	req, err := http.NewRequest(http.MethodGet, "https://"+h.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "api.test"
	req.Header.Set("X-Forwarded-For", "10.0.0.1")
	res, err := h.to(h.https(s, 1), "api.test").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); string(b) != "127.0.0.1" {
		t.Errorf("X-Forwarded-For %q", b)
	}
}

func TestTLS_WhatIsMisdirectedOrUnknownIsSaid(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "a.test", "b.test")
	h.secure(s, to("a.test", "/v1", "api"), to("b.test", "/", "web"))
	ask := func(named, host, path string) int {
		conn, err := tls.Dial("tcp", h.addr, &tls.Config{ServerName: named, RootCAs: s.pool})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for _, c := range []struct {
		named, host, path string
		want              int
	}{
		{"a.test", "a.test", "/v1", 200}, {"a.test", "b.test", "/", 200}, // one certificate is both's
		{"a.test", "a.test", "/", 404}, {"a.test", "c.test", "/", 421},
	} {
		if got := ask(c.named, c.host, c.path); got != c.want {
			t.Errorf("%s for %s%s: %d, want %d", c.named, c.host, c.path, got, c.want)
		}
	}
	_, err := tls.Dial("tcp", h.addr, &tls.Config{ServerName: "c.test", RootCAs: s.pool})
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a host without certificate: %v", err)
	}
}

func TestTLS_TrailersOfGRPCComeThroughEveryVersion(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "api.test")
	h.pools[0].Upstreams = []steady.Upstream{h2cBackend(t, "grpc", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		io.Copy(w, r.Body)
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	}))}
	m := to("api.test", "/", "api")
	m.Protocol = steady.H2C
	h.secure(s, m)
	for version := 2; version <= 3; version++ {
		res, body := h.post(h.https(s, version), "api.test", "/echo.Echo/Say", "hello")
		if body != "hello" || res.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("version %d: %q, trailer %v", version, body, res.Trailer)
		}
	}
}

func TestTLS_WebSocketsAndOtherUpgradesPass(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "api.test")
	h.pools[0].Upstreams = []steady.Upstream{backend(t, "ws", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		line, _ := rw.ReadString('\n')
		io.WriteString(c, strings.ToUpper(line))
	}))}
	h.secure(s, to("api.test", "/", "api"))
	conn, err := tls.Dial("tcp", h.addr, &tls.Config{ServerName: "api.test", RootCAs: s.pool})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello\n")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", res, err)
	}
	if line, err := r.ReadString('\n'); line != "HELLO\n" || err != nil {
		t.Errorf("%q %v", line, err)
	}
}

func TestTLS_AConnectionOpenedAheadIsNotClosedBeforeItSpeaks(t *testing.T) {
	h := newHosts(t)
	h.stop()
	h.options.Limits.ReadHeaderTimeout = 100 * time.Millisecond
	h.start()
	s := newSite(t, "api.test")
	h.secure(s, to("api.test", "/", "api"))
	conn, err := tls.Dial("tcp", h.addr, &tls.Config{ServerName: "api.test", RootCAs: s.pool, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(400 * time.Millisecond)) // four times what a head may take
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Fatalf("it was closed: %v", err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: api") // and no more: a head takes its time
	began := time.Now()
	if _, err := io.ReadAll(conn); time.Since(began) > 5*time.Second {
		t.Errorf("a slow head was waited for for %s: %v", time.Since(began), err)
	}
}

func TestTLS_ALameDuckSaysSoInEveryVersion(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "api.test")
	asked, answer := make(chan struct{}, 3), make(chan struct{})
	h.pools[0].Upstreams = []steady.Upstream{backend(t, "slow", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-answer
		io.WriteString(w, "done")
	}))}
	h.stop()
	h.options.Limits.Grace = 10 * time.Second
	h.start()
	h.secure(s, to("api.test", "/", "api"))
	errs := make(chan error, 3)
	for version := 1; version <= 3; version++ {
		c := h.to(h.https(s, version), "api.test")
		go func() {
			req, _ := http.NewRequest(http.MethodGet, "https://"+h.addr, nil)
			req.Host = "api.test"
			res, err := c.Do(req)
			if err == nil {
				var b []byte
				b, err = io.ReadAll(res.Body)
				res.Body.Close()
				if err == nil && (string(b) != "done" || version == 1 && !res.Close) {
					err = fmt.Errorf("version %d: %q, close %v", version, b, res.Close)
				}
			}
			errs <- err
		}()
	}
	for range 3 {
		<-asked
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); h.stop() }()
	eventually(t, "it accepts no more", func() bool {
		c, err := net.Dial("tcp", h.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(answer)
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	<-stopped
}

func TestTLS_ATableThatContradictsItselfIsRefused(t *testing.T) {
	h := newHosts(t)
	for name, l := range map[string]steady.Listener{
		"TLS without rules":   {Host: "127.0.0.1", Port: 1, Protocol: steady.HTTP, Pool: "shop/api:80", TLS: true},
		"a pool of its own":   {Host: "127.0.0.1", Port: 1, Protocol: steady.HTTP, Pool: "shop/api:80", Rules: []steady.Match{to("a", "/", "api")}},
		"no such pool":        {Host: "127.0.0.1", Port: 1, Protocol: steady.HTTP, Rules: []steady.Match{to("a", "/", "nobody")}},
		"a rule twice":        {Host: "127.0.0.1", Port: 1, Protocol: steady.HTTP, Rules: []steady.Match{to("a", "/", "api"), to("a", "/", "web")}},
		"a path that is none": {Host: "127.0.0.1", Port: 1, Protocol: steady.HTTP, Rules: []steady.Match{to("a", "", "api")}},
	} {
		h.version++
		err := h.client.Serve(t.Context(), steady.Table{Version: h.version, Listeners: []steady.Listener{l}, Pools: h.pools})
		if err == nil || !strings.Contains(err.Error(), "bad table") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTLS_HTTP3IsAnsweredOnceItsPortComesFree(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "api.test")
	addr, err := net.ResolveUDPAddr("udp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.ListenUDP("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	h.secure(s, to("api.test", "/", "api"))
	c := h.https(s, 2)
	if res, _ := h.post(c, "api.test", "/", ""); res.StatusCode != 200 || res.Header.Get("Alt-Svc") != "" {
		t.Errorf("while the port is another's: %s, Alt-Svc %q", res.Status, res.Header.Get("Alt-Svc"))
	}
	other.Close()
	eventually(t, "HTTP/3 is offered", func() bool {
		res, _ := h.post(c, "api.test", "/", "")
		return res.Header.Get("Alt-Svc") != ""
	})
	if res, _ := h.post(h.https(s, 3), "api.test", "/", ""); res.ProtoMajor != 3 {
		t.Errorf("answered over %s", res.Proto)
	}
}

func TestTLS_AListenerThatLeavesTheTableTakesHTTP3WithIt(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "api.test")
	h.secure(s, to("api.test", "/", "api"))
	if res, _ := h.post(h.https(s, 3), "api.test", "/", ""); res.ProtoMajor != 3 {
		t.Fatalf("answered over %s", res.Proto)
	}
	h.force()
	addr, err := net.ResolveUDPAddr("udp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the port is free", func() bool {
		c, err := net.ListenUDP("udp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func TestH2C_APublishedPortIsTakenApartByRequest(t *testing.T) {
	r := newRig(t, steady.H2C, proxy.Limits{}, h2cBackend(t, "grpc", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})))
	client := &http.Client{Transport: &http.Transport{Protocols: new(http.Protocols)}}
	client.Transport.(*http.Transport).Protocols.SetUnencryptedHTTP2(true)
	defer client.CloseIdleConnections()
	for range 3 {
		res, err := client.Post(r.url("/echo.Echo/Say"), "application/grpc", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(b) != "hello" || res.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%q, %v, trailer %v", b, err, res.Trailer)
		}
	}
	if c := r.counts(1); c.Requests != 3 || c.Answered != 3 || c.Streams != 0 {
		t.Errorf("counted %+v", c)
	}
}
