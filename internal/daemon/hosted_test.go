package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func TestHosted_AllProjectsShareTheListeners(t *testing.T) {
	acme, files := steady.TLS{CA: "https://ca.test/dir"}, steady.TLS{Certificate: "/a.pem", Key: "/a.key"}
	routes := []steady.Route{
		{Project: "shop", Service: "api", Rules: []steady.Rule{
			{Host: "a.test", Path: "/", Port: 8000, HTTP: ":80", HTTPS: ":443", TLS: acme},
			{Host: "a.test", Path: "/v1", Port: 9000, Protocol: steady.H2C, HTTP: ":80", HTTPS: ":443", TLS: acme},
		}},
		{Project: "blog", Service: "web", Rules: []steady.Rule{
			{Host: "b.test", Path: "/", Port: 80, HTTP: ":80", HTTPS: "127.0.0.1:8443", TLS: files},
			{Host: "c.test", Path: "/", Port: 80, HTTP: ":80"},
		}},
	}
	want := []steady.Listener{
		{Host: "127.0.0.1", Port: 8443, Protocol: steady.HTTP, TLS: true, Rules: []steady.Match{{Host: "b.test", Path: "/", Pool: "blog/web:80"}}},
		{Port: 443, Protocol: steady.HTTP, TLS: true, Rules: []steady.Match{
			{Host: "a.test", Path: "/v1", Pool: "shop/api:9000", Protocol: steady.H2C},
			{Host: "a.test", Path: "/", Pool: "shop/api:8000"},
		}},
		{Port: 80, Protocol: steady.HTTP, Rules: []steady.Match{
			{Host: "a.test", Path: "/v1", Redirect: 443},
			{Host: "a.test", Path: "/", Redirect: 443},
			{Host: "b.test", Path: "/", Redirect: 8443},
			{Host: "c.test", Path: "/", Pool: "blog/web:80"},
		}},
	}
	if diff := cmp.Diff(want, hosted(routes)); diff != "" {
		t.Error(diff)
	}
	certs := []steady.Certificate{
		{Host: "a.test", HTTP: ":80", HTTPS: ":443", TLS: acme},
		{Host: "b.test", HTTP: ":80", HTTPS: "127.0.0.1:8443", TLS: files},
	}
	if diff := cmp.Diff(certs, certificates(routes)); diff != "" {
		t.Error(diff)
	}
}

func TestFitting_RefusesWhatIsAnothersAndFilesThatCannotBeUsed(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.pem")
	if err := os.WriteFile(broken, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	rule := func(host string, from steady.TLS) steady.Rule {
		return steady.Rule{Host: host, Path: "/", Port: 80, HTTP: ":80", HTTPS: ":443", TLS: from}
	}
	route := func(project string, rules ...steady.Rule) steady.Route {
		return steady.Route{Project: project, Service: "web", Rules: rules}
	}
	all := []steady.Route{route("shop", rule("a.test", steady.TLS{})), {Project: "shop", Service: "db", Ports: []steady.Port{{Published: 5432, Transport: "tcp"}}}}
	for name, c := range map[string]struct {
		route steady.Route
		code  error
		words string
	}{
		"the same again":         {route("shop", rule("a.test", steady.TLS{})), nil, ""},
		"another host":           {route("blog", rule("b.test", steady.TLS{})), nil, ""},
		"another project's host": {route("blog", rule("a.test", steady.TLS{})), steady.ErrRouteTaken, "shop/web and blog/web"},
		"another's port":         {route("blog", steady.Rule{Host: "b.test", Path: "/", HTTP: ":5432"}), steady.ErrPortTaken, "published by shop/db"},
		"a broken certificate":   {route("blog", rule("b.test", steady.TLS{Certificate: broken, Key: broken})), steady.ErrCertificate, "b.test of blog/web: certificate " + broken},
		"broken roots":           {route("blog", rule("b.test", steady.TLS{CARoot: broken})), steady.ErrCertificate, "no certificate in " + broken},
		"no roots":               {route("blog", rule("b.test", steady.TLS{CARoot: "/nowhere.pem"})), steady.ErrCertificate, "/nowhere.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			// A rollout may route a service twice, as stop-first does: the last counts.
			err := fitting(all, []steady.Route{{Project: c.route.Project, Service: "web"}, c.route})
			if !errors.Is(err, c.code) || err != nil && !strings.Contains(err.Error(), c.words) {
				t.Errorf("error %v, want %v and %q", err, c.code, c.words)
			}
		})
	}
}

func TestRouter_RulesAreStoredAndServed(t *testing.T) {
	p := newPlane(t)
	p.engine.set("shop-api-1-1", steady.StateRunning, 1)
	route := steady.Route{Project: "shop", Service: "api", Release: 1, Replicas: []string{"shop-api-1-1"}, Rules: []steady.Rule{
		{Host: "*", Path: "/", Port: p.target, Protocol: steady.HTTP, HTTP: "127.0.0.1:" + portText(p.port)},
	}}
	if err := p.Free(t.Context(), []steady.Route{route}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is in force already
		if err := p.Route(t.Context(), []steady.Route{route}); err != nil {
			t.Fatal(err)
		}
		if got := p.status(t); got != 200 {
			t.Errorf("status %d", got)
		}
	}
	stored, err := p.Routes(t.Context(), "shop")
	if diff := cmp.Diff([]steady.Route{route}, stored); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	now, err := p.proxy.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Route(t.Context(), []steady.Route{route}); err != nil {
		t.Fatal(err)
	}
	if again, err := p.proxy.Table(t.Context()); err != nil || again.Version != now.Version {
		t.Errorf("the same routes made table %d of %d (%v)", again.Version, now.Version, err)
	}
	route.Gone = true
	if err := p.Route(t.Context(), []steady.Route{route}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return p.status(t) == 0 })
}

func portText(port uint16) string { return strings.TrimPrefix(steady.Listener{Port: port}.Addr(), ":") }

func TestHosted_AHostThatMovesGoesToTheNewerRelease(t *testing.T) {
	rule := steady.Rule{Host: "a.test", Path: "/", Port: 80, HTTP: ":80"}
	moving := []steady.Route{
		{Project: "shop", Service: "a", Release: 4, Rules: []steady.Rule{rule}},
		{Project: "shop", Service: "b", Release: 5, Rules: []steady.Rule{rule}},
	}
	for range 2 {
		got := hosted(moving)
		if len(got) != 1 || len(got[0].Rules) != 1 || got[0].Rules[0].Pool != "shop/b:80" {
			t.Errorf("listeners %+v", got)
		}
		moving[0], moving[1] = moving[1], moving[0]
	}
}
