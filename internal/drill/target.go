package drill

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Target is where requests go.
type Target struct {
	Addr    string // host:port
	Host    string // Host header
	Prefix  string // before every path
	Agent   string // User-Agent
	Timeout time.Duration
	TLS     *tls.Config     // nil: without
	HTTP2   *http.Transport // nil: HTTP/1.1
}

// TargetOf is the target that a URL names: its path is put before every path.
func TargetOf(raw string) (Target, *url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return Target{}, nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return Target{}, nil, fmt.Errorf("%q is not http://host[:port]", raw)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	t := Target{Addr: net.JoinHostPort(u.Hostname(), port), Host: u.Host, Prefix: u.EscapedPath()}
	if t.Prefix == "/" {
		t.Prefix = ""
	}
	return t, u, nil
}
