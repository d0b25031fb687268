package daemon

import (
	"errors"
	"regexp"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// Whoever closes an idle connection first may lose what is on its way: it must be
// nginx, which knows what it has sent.
func TestRenderSite_NginxClosesIdleConnectionsFirst(t *testing.T) {
	text, err := RenderSite(t.Context(), steady.Site{
		Name: "shop-api", Ref: "shop/api", Domains: []string{"a.example"}, Upstream: "127.0.0.1:8000", Timeout: time.Minute,
		MaxBody: "1m", HTTPPort: 80, HTTPSPort: 443, LogDir: "/var/log/nginx",
	})
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`\n    keepalive_timeout (\S+);`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nginx's upstream has no clock:\n%s", text)
	}
	idle, err := time.ParseDuration(m[1])
	if err != nil || idle+15*time.Second > proxy.DefaultIdleTimeout {
		t.Errorf("nginx keeps idle connections %s, the proxy %s: %v", idle, proxy.DefaultIdleTimeout, err)
	}
}

func TestSites_OneHostForEachDirectoryAndNoneForARelativeOne(t *testing.T) {
	var s sites
	a, err1 := s.host("")
	b, err2 := s.host(steady.DefaultConfDir + "/")
	other, err3 := s.host("/n")
	if a != b || a == other || errors.Join(err1, err2, err3) != nil {
		t.Error("changes of one nginx do not take turns")
	}
	if _, err := s.host("n"); !errors.Is(err, steady.ErrUsage) {
		t.Error(err)
	}
}
