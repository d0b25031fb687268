package steady_test

import (
	"net/url"
	"strings"
	"testing"

	"gesalpai.ch/steady"
)

func TestIsAsset_StarIsAnyCharactersSlashesToo(t *testing.T) {
	for _, c := range []struct {
		pattern, target string
		want            bool
	}{
		{"/static/*", "/static/app.123.js", true},
		{"/static/*", "/static/a/b/c.css", true},
		{"/static/*", "/static/", true},
		{"/static/*", "/static", false},
		{"/static/*", "/Static/a", false},
		{"/static/*", "/x/static/a", false},
		{"/*.js", "/a/b.js", true},
		{"/*.js", "/a/b.js.map", false},
		{"/a*b*c", "/aXbYbZc", true},
		{"/a*b*c", "/aXcYb", false},
		{"/app.js", "/app.js", true},
		{"/app.js", "/app.js2", false},
		{"/**", "/", true},
		{"/static/é *", "/static/%C3%A9%20x", true},
		{"/static/*", "/static/a%20b?v=2", true},
		// Another path to some apps than to us.
		{"/static/*", "/static/../admin", false},
		{"/static/*", "/static/%2e%2E/admin", false},
		{"/static/*", "/static/..;/admin", false},
		{"/static/*", "/static/./a", false},
		{"/static/*", "/static//a", false},
		{"/static/*", "/static/..%2fadmin", false},
		{"/static/*", "/static/a%2Fb", false},
		{"/static/*", "/static/a%5cb", false},
		{"/static/*", "/static/%252e%252e/admin", false},
		{"/static/*", "/static/a%00b", false},
		{"/static/*", "/static/...", true},
		{"/static/*", "/%73tatic/a", true},
	} {
		u, err := url.ParseRequestURI(c.target)
		if err != nil {
			t.Fatal(err)
		}
		if got := steady.IsAsset([]string{"/nothing", c.pattern}, u.EscapedPath(), u.Path); got != c.want {
			t.Errorf("%s is an asset of %s: %t, want %t", c.target, c.pattern, got, c.want)
		}
	}
	if steady.IsAsset(nil, "/", "/") {
		t.Error("without a pattern there is no asset")
	}
}

func TestCheckAssets_RefusesWhatMatchesNothing(t *testing.T) {
	if err := steady.CheckAssets([]string{"/static/*", "/*.js", "/a b/é"}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "static/*", "*", "/a//b", "/../x", "/./x", "/a%20b", `/a\b`, "/a\nb", "/" + strings.Repeat("a", steady.MaxAssetBytes)} {
		if steady.CheckAssets([]string{bad}) == nil {
			t.Errorf("%q passes", bad)
		}
	}
	if steady.CheckAssets(make([]string, steady.MaxAssets+1)) == nil {
		t.Error("any number of patterns passes")
	}
}
