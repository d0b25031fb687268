package compose_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
)

// routed loads files whose text is given and gives the rules of all services.
func routed(t *testing.T, text string) (map[string][]steady.Rule, string, error) {
	t.Helper()
	dir := write(t, map[string]string{"compose.yml": text})
	p, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir, Files: []string{"compose.yml"}, ProjectName: "shop"})
	rules := map[string][]steady.Rule{}
	for _, s := range p.Specs {
		rules[s.Service] = s.Routes
	}
	return rules, dir, err
}

func TestRoutes_GapsAreFilledFromTheServiceAndTheTop(t *testing.T) {
	got, dir, err := routed(t, `
x-steady:
  listen: { http: "127.0.0.1:8080", https: "127.0.0.1:8443" }
  tls: { email: ops@example.ch, ca: "https://ca.test/dir", ca_root: ca.pem }
  routes: [{ service: web, host: "*.example.ch", tls: off, protocol: grpc }]
services:
  api:
    image: x
    expose: ["8000"]
    x-steady: { routes: [API.example.ch/v1/, { host: files.example.ch, tls: { certificate: a.pem, key: /k.pem } }] }
  web:
    image: x
    ports: ["80"]
  admin:
    image: x
    x-steady: { tls: off, routes: [{ host: admin.example.ch, port: 9000 }] }
`)
	if err != nil {
		t.Fatal(err)
	}
	const http, https = "127.0.0.1:8080", "127.0.0.1:8443"
	want := map[string][]steady.Rule{
		"api": {
			{Host: "api.example.ch", Path: "/v1", Port: 8000, Protocol: "http", HTTP: http, HTTPS: https,
				TLS: steady.TLS{Email: "ops@example.ch", CA: "https://ca.test/dir", CARoot: filepath.Join(dir, "ca.pem")}},
			{Host: "files.example.ch", Path: "/", Port: 8000, Protocol: "http", HTTP: http, HTTPS: https,
				TLS: steady.TLS{Certificate: filepath.Join(dir, "a.pem"), Key: "/k.pem"}},
		},
		"web":   {{Host: "*.example.ch", Path: "/", Port: 80, Protocol: "h2c", HTTP: http}},
		"admin": {{Host: "admin.example.ch", Path: "/", Port: 9000, Protocol: "http", HTTP: http}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRoutes_WhatCannotBeMeantIsRefusedWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ text, place, words string }{
		"a service that does not exist": {`
x-steady:
  routes:
    - { service: wep, host: a.example.ch }
services:
  web: { image: x, expose: ["80"] }
`, "compose.yml:4: ", "there is no service wep"},
		"a port that does not exist": {`
services:
  web:
    image: x
    ports: ["80"]
    x-steady:
      routes:
        - { host: a.example.ch, port: 8000 }
`, "compose.yml:8: ", "service web has no port 8000; it declares 80"},
		"no port": {`
services:
  web: { image: x, x-steady: { routes: [a.example.ch] } }
`, "compose.yml:3: ", "says no port, and service web declares none"},
		"a host claimed twice": {`
services:
  api: { image: x, expose: ["80"], x-steady: { routes: [a.example.ch/v1] } }
  web: { image: x, expose: ["80"], x-steady: { routes: [a.example.ch/v1/] } }
`, "compose.yml:4: ", "a.example.ch/v1 is claimed twice, by shop/api and shop/web"},
		"a published port in the way": {`
services:
  api: { image: x, expose: ["80"], x-steady: { routes: [a.example.ch] } }
  web: { image: x, ports: ["443:80"] }
`, "", "port 443 is published by shop/web, and a.example.ch of shop/api is served there"},
		"a wildcard without files": {`
services:
  web: { image: x, expose: ["80"], x-steady: { routes: ["*.example.ch"] } }
`, "compose.yml:3: ", "no certificate for *.example.ch can be had over HTTP"},
		"a certificate without key": {`
services:
  web: { image: x, expose: ["80"], x-steady: { tls: { certificate: a.pem }, routes: [a.example.ch] } }
`, "compose.yml:3: ", "a certificate needs a key"},
		"a host that is none": {`
services:
  web: { image: x, expose: ["80"], x-steady: { routes: ["http://a.example.ch"] } }
`, "compose.yml:3: ", "is no host"},
		"an unknown key": {`
services:
  web: { image: x, expose: ["80"], x-steady: { routes: [{ host: a.example.ch, prefix: /v1 }] } }
`, "compose.yml:3: ", "unknown key"},
		"an address that is none": {`
x-steady: { listen: { http: 80 } }
services:
  web: { image: x, expose: ["80"], x-steady: { routes: [a.example.ch] } }
`, "compose.yml:2: ", "80 is no address"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := routed(t, c.text)
			if !errors.Is(err, steady.ErrCompose) || !strings.Contains(err.Error(), c.place) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("error %v, want %q and %q", err, c.place, c.words)
			}
		})
	}
}
