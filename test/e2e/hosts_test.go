package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady/test/load"
)

// TestHosts_RolloutsOverTLSLoseNothing has certificates from a real ACME server
// and every version of HTTP under load while both services are replaced.
func TestHosts_RolloutsOverTLSLoseNothing(t *testing.T) {
	s := newSite(t, swiftHost(t, "e2e-host-hosts"))
	roots := s.hosted()
	s.deploy(1)
	s.eventually("both certificates are there", func() bool {
		all := s.certificates()
		return all["api.example.ch"].Issuer != "" && all["www.example.ch"].Issuer != ""
	})
	trusted := &tls.Config{RootCAs: roots}
	one := load.Start(load.Options{URL: "https://" + s.https, Host: "api.example.ch", TLS: trusted, Rate: 120})
	two := load.Start(load.Options{URL: "https://" + s.https, Host: "www.example.ch", TLS: trusted, Rate: 60, HTTP2: true})
	three, grpc := s.http3Client("www.example.ch", roots), s.http2Client("api.example.ch", roots)
	body := []byte(strings.Repeat("steady ", 500))
	h3 := &asker{what: "HTTP/3", ask: func() error {
		res, err := s.post(three, "www.example.ch", "/echo", body)
		if err == nil && res.ProtoMajor != 3 {
			err = fmt.Errorf("answered over %s", res.Proto)
		}
		return err
	}}
	calls := &asker{what: "gRPC", ask: func() error { return s.call(grpc, "api.example.ch", body) }}
	stop := every(50*time.Millisecond, h3, calls)
	n, turns := rollouts(t, 6), []load.Shift{{Release: 1}}
	for i := 2; i <= n+1; i++ {
		turn := load.Shift{Release: i, From: time.Now()}
		s.deploy(i)
		turn.Done = time.Now()
		turns = append(turns, turn)
	}
	stop()
	for what, r := range map[string]load.Report{"HTTP/1.1": one.Stop(), "HTTP/2": two.Stop()} {
		t.Logf("%s, %d rollouts\n%s", what, n, r)
		if !r.Clean() || r.Sent() == 0 {
			t.Errorf("%s: lost %d, cut %d, unsent %d", what, r.Lost(), r.Cut(), r.Unsent())
		}
		if wrong := r.Judge(turns...); len(wrong) > 0 {
			t.Errorf("%s: %d answers of the wrong release, the first %+v", what, len(wrong), wrong[0])
		}
	}
	for _, a := range []*asker{h3, calls} {
		t.Logf("%s: %d asked, %d failed", a.what, a.n.Load(), a.failed.Load())
		if a.failed.Load() > 0 || a.n.Load() == 0 {
			t.Errorf("%s: the first of %d: %s", a.what, a.failed.Load(), *a.first.Load())
		}
	}
	s.afterwards(t, trusted)
}

// afterwards looks at what else a visitor and an operator see.
func (s *site) afterwards(t *testing.T, trusted *tls.Config) {
	t.Run("plain HTTP is sent to HTTPS", func(t *testing.T) {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		req, err := http.NewRequest(http.MethodPost, "http://"+s.http+"/echo?x=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "api.example.ch"
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		want := fmt.Sprintf("https://api.example.ch:%d/echo?x=1", portOf(t, s.https))
		if res.StatusCode != http.StatusPermanentRedirect || res.Header.Get("Location") != want {
			t.Errorf("%s to %q, want %q", res.Status, res.Header.Get("Location"), want)
		}
	})
	t.Run("status tells of routes and certificates", func(t *testing.T) {
		said := s.steady("status").out
		for _, words := range []string{"api.example.ch->8000", "api.example.ch/echo.Echo->9000", "Pebble", "VALID UNTIL"} {
			if !strings.Contains(said, words) {
				t.Errorf("status lacks %q:\n%s", words, said)
			}
		}
	})
	t.Run("certificates are there when the proxy is killed", func(t *testing.T) {
		before := s.proxyPID()
		_ = syscall.Kill(before, syscall.SIGKILL)
		s.eventually("another proxy runs", func() bool { pid := s.proxyPID(); return pid > 0 && pid != before })
		for _, host := range []string{"api.example.ch", "www.example.ch"} {
			conf := trusted.Clone()
			conf.ServerName = host
			c, err := tls.Dial("tcp", s.https, conf)
			if err != nil {
				t.Errorf("%s: %v", host, err)
				continue
			}
			c.Close()
		}
	})
}
