package compose

import (
	"cmp"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// tlsKey is the part of x-steady that says where certificates come from; at every
// level, the closest wins.
const tlsKey = "tls"

// tlsLevel says what one level wants: tlsKey for "off", a key for files or for an
// ACME server, nothing where it is silent.
func tlsLevel(level map[string]any, keys ...string) bool {
	for _, k := range keys {
		if _, ok := level[k]; ok {
			return true
		}
	}
	return false
}

// tlsOff says whether the closest level that says anything says off.
func tlsOff(levels []map[string]any) bool {
	for _, level := range levels {
		switch {
		case tlsLevel(level, tlsKey):
			return true
		case tlsLevel(level, "tls.certificate", "tls.key", "tls.email", "tls.ca", "tls.ca_root"):
			return false
		}
	}
	return false
}

// tls is where the host's certificate comes from: the closest level's files, else
// an ACME server whose settings may stand at different levels.
func (e *entry) tls(model *types.Project, levels []map[string]any, host string) (steady.TLS, error) {
	absolute := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(model.WorkingDir, path)
	}
	var t steady.TLS
	for _, level := range levels {
		text := func(key string) string { s, _ := level[key].(string); return s }
		if tlsLevel(level, "tls.certificate", "tls.key") && t == (steady.TLS{}) {
			t = steady.TLS{Certificate: absolute(text("tls.certificate")), Key: absolute(text("tls.key"))}
			if t.Certificate == "" || t.Key == "" {
				return t, e.refuse("", "a certificate needs a key, and a key a certificate", "tls: {certificate: site.pem, key: site.key}")
			}
			return t, nil
		}
		t.Email = cmp.Or(t.Email, text("tls.email"))
		t.CA = cmp.Or(t.CA, text("tls.ca"))
		t.CARoot = cmp.Or(t.CARoot, absolute(text("tls.ca_root")))
	}
	t.CA = cmp.Or(t.CA, steady.DefaultCA)
	if strings.Contains(host, "*") {
		return t, e.refuse("host", "no certificate for "+host+" can be had over HTTP", "name tls.certificate and tls.key, or set tls: off")
	}
	return t, nil
}

func off(v any) (any, error) {
	if v == "off" || v == false {
		return "off", nil
	}
	return nil, fmt.Errorf("%v is neither off nor a mapping", v)
}

func text(v any) (any, error) {
	if s, ok := v.(string); ok && s != "" {
		return s, nil
	}
	return nil, fmt.Errorf("%v is no text", v)
}

func email(v any) (any, error) {
	if s, ok := v.(string); ok && strings.Count(s, "@") == 1 && !strings.ContainsAny(s, " \t,") {
		return s, nil
	}
	return nil, fmt.Errorf("%v is no e-mail address", v)
}

func directory(v any) (any, error) {
	s, _ := v.(string)
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%v is no https:// address of an ACME directory", v)
	}
	return s, nil
}

// tlsKeys are the settings of certificates.
func tlsKeys() []Key {
	return []Key{
		{Name: "tls", Type: "off", Default: "on", parse: off,
			Doc: "off serves routes without TLS, at listen.http only."},
		{Name: "tls.certificate", Type: "file", Default: "from the ACME server", parse: text,
			Doc: "A certificate in PEM, the chain included; with tls.key. It is read again when the file changes."},
		{Name: "tls.key", Type: "file", Default: "from the ACME server", parse: text,
			Doc: "The certificate's key in PEM."},
		{Name: "tls.email", Type: "e-mail", Default: "none", parse: email,
			Doc: "The contact of the ACME account."},
		{Name: "tls.ca", Type: "URL", Default: steady.DefaultCA, parse: directory,
			Doc: "The directory of the ACME server. By using it you agree to its terms."},
		{Name: "tls.ca_root", Type: "file", Default: "the system's roots", parse: text,
			Doc: "A PEM file with the root certificates that the ACME server's own certificate is verified against."},
	}
}

// routeKeys are the settings of what comes by host and path.
func routeKeys() []Key {
	keys := []Key{
		{Name: "routes", Type: "list", Default: "none", parse: list,
			Doc: `The hosts and paths that lead to the service: "api.example.ch/v1", or mappings of the keys below. The closest host and the longest path win. At the top each entry names its service.`},
	}
	for _, k := range entryKeys(true) {
		if !strings.HasPrefix(k.Name, tlsKey) {
			k.Name = "routes[]." + k.Name
			keys = append(keys, k)
		}
	}
	keys = append(keys, Key{Name: "routes[].tls", Type: "as tls", Default: "as tls", Doc: "tls for this host alone."})
	return append(keys,
		Key{Name: "listen.http", Type: "address", Default: steady.DefaultListenHTTP, parse: listenAddr,
			Doc: "The address that serves routes without TLS, answers ACME challenges, and redirects everything else to HTTPS with a 308."},
		Key{Name: "listen.https", Type: "address", Default: steady.DefaultListenHTTPS, parse: listenAddr,
			Doc: "The address that serves routes with TLS: HTTP/1.1 and HTTP/2 over TCP, HTTP/3 over UDP."},
	)
}

// entryKeys are those of one entry of routes.
func entryKeys(top bool) []Key {
	keys := []Key{
		{Name: "host", Type: "host", Default: "required", parse: routeHost,
			Doc: `"*.example.ch" is any one label before it, "*" any host; an exact host wins.`},
		{Name: "path", Type: "path", Default: "/", parse: routePath,
			Doc: "The path and everything below it, by whole segments. The app gets the path unchanged."},
		{Name: "port", Type: "port", Default: "the only one under ports and expose", parse: port,
			Doc: "The port in the container."},
		{Name: "protocol", Type: "http | h2c | grpc", Default: "from app_protocol, else http", parse: upstreamProtocol,
			Doc: "What the app speaks: HTTP/1.1, or HTTP/2 without TLS."},
	}
	if top {
		keys = append(keys, Key{Name: "service", Type: "service", Default: "required at the top", parse: text,
			Doc: "The service that gets the requests. Within a service it is that service."})
	}
	return append(keys, tlsKeys()...)
}

func list(v any) (any, error) {
	if l, ok := v.([]any); ok {
		return l, nil
	}
	return nil, fmt.Errorf("%v is no list", v)
}
