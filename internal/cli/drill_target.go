package cli

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/drill"
)

// drillLoad is what the flags, and where they are silent the service's spec, say of
// the load; url is where it goes, for a person.
func drillLoad(f drillFlags, spec steady.Spec) (l drill.Load, url string, err error) {
	url, host, err := drillURL(f, spec)
	if err != nil {
		return l, "", err
	}
	t, u, err := drill.TargetOf(url)
	if err != nil {
		return l, "", usage("steady drill", "--target: "+err.Error())
	}
	t.Agent, t.Timeout = "steady-drill", drillTimeout
	if host != "" {
		t.Host = host
	}
	if u.Scheme == "https" {
		t.Secure(&tls.Config{InsecureSkipVerify: f.insecure}, false)
	}
	x, err := drillExchange(f, spec)
	if err != nil {
		return l, "", err
	}
	if own := u.RequestURI(); own != "/" {
		if f.path != "" {
			return l, "", usage("steady drill", "--path, or a path in --target, but not both")
		}
		x.Path = own
	}
	t.Prefix = ""
	url = u.Scheme + "://" + u.Host + x.Path
	if host != "" {
		url += " for " + host
	}
	run := "drill-" + strconv.FormatInt(time.Now().UnixMicro(), 36)
	return drill.Load{Target: t, Exchange: x, Rate: f.rate, Fresh: f.fresh, Run: run}, url, nil
}

// drillURL is where the service is reached from this host, and the Host to ask for
// where it is not the URL's.
func drillURL(f drillFlags, spec steady.Spec) (url, host string, err error) {
	if f.target != "" {
		return f.target, "", nil
	}
	tcp := false
	for _, p := range spec.Ports {
		if p.Protocol == steady.TCP || p.Protocol == steady.H2C {
			tcp = true
			continue
		}
		if p.Published > 0 {
			return "http://" + net.JoinHostPort(nearHost(p.HostIP), strconv.Itoa(int(p.Published))), "", nil
		}
	}
	for _, r := range spec.Routes {
		if strings.HasPrefix(r.Host, "*") {
			continue
		}
		scheme, at := "https://", r.HTTPS
		if r.Plain() {
			scheme, at = "http://", r.HTTP
		}
		on, port, err := net.SplitHostPort(at)
		if err != nil {
			continue
		}
		url = scheme + net.JoinHostPort(nearHost(on), port)
		if f.path == "" {
			url += strings.TrimSuffix(r.Path, "/")
		}
		return url, r.Host, nil
	}
	why := "it publishes no port and has no route"
	if tcp {
		why = "what it publishes is no HTTP/1.1"
	}
	return "", "", steady.ErrUnsupported.With(fmt.Sprintf("no load can be sent to %s: %s", spec.Ref(), why),
		"steady drill "+spec.Service+" --target http://…, where a front before it speaks HTTP/1.1")
}

// nearHost is where this host reaches what listens on an address.
func nearHost(address string) string {
	switch strings.Trim(address, "[]") {
	case "", "0.0.0.0":
		return "127.0.0.1"
	case "::":
		return "::1"
	}
	return strings.Trim(address, "[]")
}

// drillExchange is the request that the load is made of.
func drillExchange(f drillFlags, spec steady.Spec) (drill.Exchange, error) {
	x := drill.Exchange{Method: f.method, Path: f.path}
	if x.Path == "" {
		x.Path = "/"
		if p := spec.Probe; p.Kind == steady.ProbeHTTP && (p.Method == "" || p.Method == http.MethodGet) && plainWord(p.Path, '/') {
			x.Path = p.Path
		}
	}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		value = strings.TrimSpace(value)
		if !ok || name == "" || !steady.IsCookieName("x"+name) || // a token, as a cookie's name is
			strings.ContainsAny(value, "\r\n\x00") {
			return x, usage("steady drill", fmt.Sprintf("--header: %q is not \"Name: value\"", name))
		}
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Connection", "Content-Length", "Transfer-Encoding", "X-Request-Id", "User-Agent":
			return x, usage("steady drill", "--header: "+name+" is the load's own")
		}
		x.Header = append(x.Header, drill.Field{Name: name, Value: value})
	}
	if f.body != "" {
		text := f.body
		if file, at := strings.CutPrefix(text, "@"); at {
			read, err := bounded(file, 1<<20)
			if err != nil {
				return x, usage("steady drill", "--body: "+err.Error())
			}
			text = read
		}
		x.Body = []byte(text)
	}
	return x, nil
}
