package nginx_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/nginx"
)

func secure() steady.Site {
	return steady.Site{
		Name: "gesalps-api", Ref: "gesalp/api", Domains: []string{"api.gesalpai.ch", "*.gesalpai.ch"}, Upstream: "127.0.0.1:8000",
		Timeout: 120 * time.Second, MaxBody: "100m", Certificate: "/c.pem", CertificateKey: "/k.pem", ACMEWebroot: "/var/www/html",
		HTTPPort: 80, HTTPSPort: 443, LogDir: "/var/log/nginx",
	}
}

func TestRender_SpeaksTheWordsOfTheVersion(t *testing.T) {
	for _, c := range []struct {
		version     nginx.Version
		has, hasNot []string
	}{
		{nginx.Version{1, 14, 2}, []string{"listen 443 ssl http2;"}, []string{"http2 on", "keepalive_timeout", "keepalive_min_timeout"}},
		{nginx.Version{}, []string{"listen 443 ssl http2;", "    keepalive_timeout 60s;"}, []string{"http2 on", "keepalive_min_timeout"}},
		{nginx.Version{1, 22, 1}, []string{"listen 443 ssl http2;", "    keepalive_timeout 60s;"}, []string{"http2 on", "keepalive_min_timeout"}},
		{nginx.Version{1, 25, 1}, []string{"listen 443 ssl;", "http2 on;"}, []string{"ssl http2", "keepalive_min_timeout"}},
		{nginx.Version{1, 27, 4}, []string{"http2 on;", "keepalive_min_timeout 75s;"}, []string{"ssl http2"}},
	} {
		text, err := nginx.Render(secure(), c.version)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range c.has {
			if !strings.Contains(text, w) {
				t.Errorf("%v: lacks %q", c.version, w)
			}
		}
		for _, w := range c.hasNot {
			if strings.Contains(text, w) {
				t.Errorf("%v: has %q", c.version, w)
			}
		}
	}
}

func TestRender_SaysWhatTheGuideWants(t *testing.T) {
	text, err := nginx.Render(secure(), nginx.Version{1, 22, 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"server_name api.gesalpai.ch *.gesalpai.ch;", "server 127.0.0.1:8000 max_fails=0;", "return 308 https://$host$request_uri;",
		"access_log /var/log/nginx/gesalps-api-access.log;", "error_log /var/log/nginx/gesalps-api-error.log;",
		"proxy_read_timeout 130s;", "client_max_body_size 100m;", "root /var/www/html;", "proxy_next_upstream error;",
		"proxy_set_header X-Forwarded-Proto $scheme;",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if n := strings.Count(text, "acme-challenge"); n != 1 {
		t.Errorf("the challenge is answered in %d places, want only over HTTP", n)
	}
	if strings.Contains(text, "non_idempotent;") || strings.Contains(text, "<no value>") {
		t.Errorf("it has what it must not:\n%s", text)
	}
}

func TestRender_RefusesWhatIsNotOneWord(t *testing.T) {
	for name, spoil := range map[string]func(*steady.Site){
		"name":          func(s *steady.Site) { s.Name = "../nginx.conf" },
		"hidden name":   func(s *steady.Site) { s.Name = ".x" },
		"no domain":     func(s *steady.Site) { s.Domains = nil },
		"domain":        func(s *steady.Site) { s.Domains = []string{"a; return 200"} },
		"url":           func(s *steady.Site) { s.Domains = []string{"https://a.example"} },
		"upstream":      func(s *steady.Site) { s.Upstream = "127.0.0.1:80; }" },
		"service":       func(s *steady.Site) { s.Ref = "a\nuser root;" },
		"certificate":   func(s *steady.Site) { s.Certificate = "/a;b" },
		"relative":      func(s *steady.Site) { s.CertificateKey = "k.pem" },
		"only one half": func(s *steady.Site) { s.CertificateKey = "" },
		"webroot":       func(s *steady.Site) { s.ACMEWebroot = "/a b" },
		"logs":          func(s *steady.Site) { s.LogDir = "/a$b" },
		"body":          func(s *steady.Site) { s.MaxBody = "1x" },
		"timeout":       func(s *steady.Site) { s.Timeout = 0 },
		"ports":         func(s *steady.Site) { s.HTTPSPort = s.HTTPPort },
	} {
		s := secure()
		spoil(&s)
		if text, err := nginx.Render(s, nginx.Version{}); !errors.Is(err, steady.ErrUsage) || text != "" || steady.AsError(err).Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
