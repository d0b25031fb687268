package steady_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gesalpai.ch/steady"
)

func TestFits_AWildcardIsOneLabel(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"a.example.ch", "a.example.ch", true},
		{"a.example.ch", "b.example.ch", false},
		{"*.example.ch", "a.example.ch", true},
		{"*.example.ch", "a.b.example.ch", false},
		{"*.example.ch", "example.ch", false},
		{"*.example.ch", ".example.ch", false},
		{"*", "anything", true},
	} {
		if got := steady.Fits(c.pattern, c.host); got != c.want {
			t.Errorf("%s fits %s: %v", c.pattern, c.host, got)
		}
	}
}

func TestBelow_TakesWholeSegments(t *testing.T) {
	for _, c := range []struct {
		prefix, path string
		want         bool
	}{
		{"/", "/", true}, {"/", "/x", true}, {"/v1", "/v1", true}, {"/v1", "/v1/", true},
		{"/v1", "/v1/x", true}, {"/v1", "/v10", false}, {"/v1", "/", false}, {"/", "*", false},
	} {
		if got := steady.Below(c.prefix, c.path); got != c.want {
			t.Errorf("%s below %s: %v", c.path, c.prefix, got)
		}
	}
}

func TestCloser_ExactBeforeWildcardAndLongPathBeforeShort(t *testing.T) {
	of := func(host, path string) steady.Match { return steady.Match{Host: host, Path: path} }
	want := []steady.Match{of("a.example.ch", "/v1/x"), of("a.example.ch", "/v1"), of("a.example.ch", "/"), of("*.long.example.ch", "/"), of("*.example.ch", "/"), of("*", "/v1"), of("*", "/")}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, steady.Closer)
	if !slices.Equal(got, want) {
		t.Errorf("order %v", got)
	}
}

func TestClash_NamesBoth(t *testing.T) {
	rule := func(host, path string) steady.Rule {
		return steady.Rule{Host: host, Path: path, Port: 80, HTTP: ":80", HTTPS: ":443"}
	}
	plain := func(r steady.Rule) steady.Rule { r.HTTPS = ""; return r }
	route := func(project string, r steady.Rule) steady.Route {
		return steady.Route{Project: project, Service: "web", Rules: []steady.Rule{r}}
	}
	wide, swapped, files := rule("b.ch", "/"), rule("b.ch", "/"), rule("a.ch", "/v2")
	wide.HTTP = "127.0.0.1:80"
	swapped.HTTP, swapped.HTTPS = ":443", ":80"
	files.TLS.Certificate = "/x.pem"
	for name, c := range map[string]struct {
		a, b  steady.Route
		words string
	}{
		"same host and path":           {route("one", rule("a.ch", "/v1")), route("two", rule("a.ch", "/v1")), "a.ch/v1 is claimed twice, by one/web and two/web"},
		"one plain, one with TLS":      {route("one", rule("a.ch", "/")), route("two", plain(rule("a.ch", "/"))), "a.ch is claimed twice"},
		"two certificates":             {route("one", rule("a.ch", "/v1")), route("two", files), "a.ch has two different certificates, by one/web and two/web"},
		"all addresses and one":        {route("one", rule("a.ch", "/")), route("two", wide), "cannot share"},
		"plain and TLS at one address": {route("one", rule("a.ch", "/")), route("two", swapped), "cannot share"},
		"a published port": {route("one", rule("a.ch", "/")),
			steady.Route{Project: "two", Service: "db", Ports: []steady.Port{{HostIP: "10.0.0.1", Published: 443, Transport: "tcp"}}}, "port 10.0.0.1:443 is published by two/db"},
		"where HTTP/3 is answered": {route("one", rule("a.ch", "/")),
			steady.Route{Project: "two", Service: "vpn", Ports: []steady.Port{{Published: 443, Transport: "udp"}}}, "port 443/udp is published by two/vpn"},
		"other path":       {route("one", rule("a.ch", "/v1")), route("two", rule("a.ch", "/v2")), ""},
		"other host":       {route("one", rule("a.ch", "/")), route("two", rule("*.ch", "/")), ""},
		"other UDP":        {route("one", rule("a.ch", "/")), steady.Route{Service: "db", Ports: []steady.Port{{Published: 80, Transport: "udp"}}}, ""},
		"a port elsewhere": {route("one", rule("a.ch", "/")), steady.Route{Service: "db", Ports: []steady.Port{{Published: 8443, Transport: "tcp"}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := steady.Clash([]steady.Route{c.a, c.b})
			switch {
			case c.words == "" && err != nil:
				t.Errorf("error %v", err)
			case c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)):
				t.Errorf("error %v, want %q", err, c.words)
			case err != nil && !errors.Is(err, steady.ErrRouteTaken) && !errors.Is(err, steady.ErrPortTaken):
				t.Errorf("code %s", err.Code)
			}
		})
	}
}
