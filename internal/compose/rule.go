package compose

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// routesKey is the list of x-steady that says what comes by host and path.
const routesKey = "routes"

// entry is one entry of such a list, and where it stands.
type entry struct {
	section
	at    string         // "routes.0"
	asked map[string]any // by dotted key, parsed
}

// entriesOf parses the list of one section.
func entriesOf(s section, raw any) ([]entry, error) {
	all, ok := raw.([]any)
	if !ok && raw != nil {
		return nil, s.refuse(routesKey, "must be a list", "routes: [api.example.ch/v1]")
	}
	var out []entry
	for i, one := range all {
		e := entry{section: s, at: routesKey + "." + strconv.Itoa(i), asked: map[string]any{}}
		if err := e.parse(one); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// parse reads "api.example.ch/v1", or a mapping.
func (e *entry) parse(raw any) error {
	if short, ok := raw.(string); ok {
		host, rest, found := strings.Cut(short, "/")
		raw = map[string]any{"host": host}
		if found {
			raw = map[string]any{"host": host, "path": "/" + rest}
		}
	}
	flat := map[string]any{}
	if m, ok := raw.(map[string]any); !ok || len(m) == 0 {
		return e.refuse("", "must be a host and a path, or a mapping", "routes: [api.example.ch/v1]")
	}
	if err := e.flatten("", raw, flat); err != nil {
		return err
	}
	keys := entryKeys(e.top)
	for _, name := range sortedKeys(flat) {
		i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
		if i < 0 {
			return e.refuse(name, "unknown key", "known keys: "+strings.Join(namesOf(keys), ", "))
		}
		v, err := keys[i].parse(flat[name])
		if err != nil {
			return e.refuse(name, err.Error(), keys[i].brief())
		}
		e.asked[name] = v
	}
	if e.asked["host"] == nil {
		return e.refuse("", "says no host", "routes: [{host: api.example.ch, path: /v1}]")
	}
	return nil
}

func (e *entry) refuse(key, what, hint string) error {
	place := e.at + "." + key
	if key == "" || locate(e.files, append(slices.Clone(e.path), strings.Split(place, ".")...)) == "" {
		place = e.at // the short form has no keys
	}
	return e.section.refuse(place, what, hint)
}

func namesOf(keys []Key) []string {
	var out []string
	for _, k := range keys {
		out = append(out, k.Name)
	}
	return out
}

// rulesOf makes the service's rules: of its own list, and of the one at the top
// where that names it.
func rulesOf(model *types.Project, s types.ServiceConfig, own settings) ([]steady.Rule, error) {
	within := section{files: model.ComposeFiles, path: []string{"services", s.Name, Extension}}
	entries, err := entriesOf(within, own.service[routesKey])
	if err != nil {
		return nil, err
	}
	named, err := topEntries(model)
	if err != nil {
		return nil, err
	}
	for _, e := range named {
		if e.asked["service"] == s.Name {
			entries = append(entries, e)
		}
	}
	var out []steady.Rule
	for _, e := range entries {
		r, err := e.rule(model, s, own)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// topEntries are those of the list at the top; each names a service of the files.
func topEntries(model *types.Project) ([]entry, error) {
	m, _ := model.Extensions[Extension].(map[string]any)
	top := section{files: model.ComposeFiles, path: []string{Extension}, top: true}
	entries, err := entriesOf(top, m[routesKey])
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, _ := e.asked["service"].(string)
		if name == "" {
			return nil, e.refuse("", "says no service", "services: "+strings.Join(sortedKeys(model.Services), ", "))
		}
		_, enabled := model.Services[name]
		if _, disabled := model.DisabledServices[name]; !enabled && !disabled {
			return nil, e.refuse("service", "there is no service "+name, "services: "+strings.Join(sortedKeys(model.Services), ", "))
		}
	}
	return entries, nil
}

// rule fills the entry's gaps.
func (e *entry) rule(model *types.Project, s types.ServiceConfig, own settings) (steady.Rule, error) {
	r := steady.Rule{Host: e.asked["host"].(string), Path: "/", HTTP: setting(own, "listen.http", steady.DefaultListenHTTP)}
	if p, ok := e.asked["path"].(string); ok {
		r.Path = p
	}
	var err error
	if r.Port, err = e.port(s); err != nil {
		return r, err
	}
	r.Protocol = e.protocol(s, r.Port, own)
	levels := []map[string]any{e.asked, own.service, own.project}
	if !tlsOff(levels) {
		r.HTTPS = setting(own, "listen.https", steady.DefaultListenHTTPS)
		r.TLS, err = e.tls(model, levels, r.Host)
	}
	return r, err
}

// port is the container port: the one said, else the only one declared.
func (e *entry) port(s types.ServiceConfig) (uint16, error) {
	declared := declaredPorts(s)
	said, ok := e.asked["port"].(uint16)
	switch {
	case ok && len(declared) > 0 && !slices.Contains(declared, said):
		return 0, e.refuse("port", fmt.Sprintf("service %s has no port %d; it declares %s", s.Name, said, listed(declared)),
			fmt.Sprintf("name one of them, or add %d to expose", said))
	case ok:
		return said, nil
	case len(declared) == 1:
		return declared[0], nil
	case len(declared) == 0:
		return 0, e.refuse("", fmt.Sprintf("says no port, and service %s declares none", s.Name), "routes: [{host: api.example.ch, port: 8000}]")
	}
	return 0, e.refuse("", fmt.Sprintf("says no port, and service %s declares %s", s.Name, listed(declared)), "routes: [{host: api.example.ch, port: 8000}]")
}

// declaredPorts are the container's TCP ports under ports and expose, in order.
func declaredPorts(s types.ServiceConfig) []uint16 {
	var out []uint16
	for _, p := range s.Ports {
		if p.Protocol != "udp" && p.Target <= 65535 {
			out = append(out, uint16(p.Target))
		}
	}
	for _, e := range s.Expose {
		digits, transport, _ := strings.Cut(e, "/")
		if n, err := strconv.ParseUint(digits, 10, 16); err == nil && transport != "udp" {
			out = append(out, uint16(n))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func listed(ports []uint16) string {
	var out []string
	for _, p := range ports {
		out = append(out, strconv.Itoa(int(p)))
	}
	return strings.Join(out, ", ")
}

// protocol is what the app speaks: as the entry says, else the port, else the
// service.
func (e *entry) protocol(s types.ServiceConfig, port uint16, own settings) string {
	if p, ok := e.asked["protocol"].(string); ok {
		return p
	}
	for _, p := range s.Ports {
		if p.Target == uint32(port) && isH2C(p.AppProtocol) {
			return steady.H2C
		}
	}
	if setting(own, "protocol", "") == steady.H2C {
		return steady.H2C
	}
	return steady.HTTP
}

func isH2C(app string) bool {
	switch strings.ToLower(app) {
	case steady.H2C, "grpc", "kubernetes.io/h2c":
		return true
	}
	return false
}

// routable matches a host, or a wildcard for one label, or any host.
var routable = regexp.MustCompile(`^(\*|(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?)$`)

func routeHost(v any) (any, error) {
	host, ok := v.(string)
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !ok || !routable.MatchString(host) || len(host) > 253 {
		return nil, fmt.Errorf("%v is no host such as api.example.ch, *.example.ch or *", v)
	}
	return host, nil
}

func routePath(v any) (any, error) {
	s, ok := v.(string)
	if !ok || !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "?#* ") || strings.Contains(s, "//") || strings.Contains(s, "/.") {
		return nil, fmt.Errorf("%v is no path such as /v1", v)
	}
	return cmp.Or(strings.TrimSuffix(s, "/"), "/"), nil
}

// listenAddr reads "host:port" where the host is an address, or missing.
func listenAddr(v any) (any, error) {
	s, _ := v.(string)
	if _, _, ok := steady.HostPort(s); !ok {
		return nil, fmt.Errorf("%v is no address such as :80 or 127.0.0.1:8080", v)
	}
	return s, nil
}

// upstreamProtocol reads what the app of a route speaks.
func upstreamProtocol(v any) (any, error) {
	switch v {
	case steady.HTTP:
		return steady.HTTP, nil
	case steady.H2C, "grpc":
		return steady.H2C, nil
	}
	return nil, fmt.Errorf("%v is none of http, h2c, grpc", v)
}

// clashing refuses two rules of the files for the same requests, with the place
// of the later one.
func clashing(model *types.Project, specs []steady.Spec) error {
	var routes []steady.Route
	for _, s := range specs {
		routes = append(routes, steady.Route{Project: s.Project, Service: s.Service, Ports: s.Ports, Rules: s.Routes})
		if taken := steady.Clash(routes); taken != nil {
			at := prefixed(model.ComposeFiles, "services", s.Service, Extension, routesKey)
			return steady.ErrCompose.With(at+taken.Text, taken.Hint)
		}
	}
	return nil
}

// asked are the ports at which requests arrive, those of routes behind the
// published ones.
func asked(ports []steady.Port, rules []steady.Rule) []steady.Port {
	out := slices.Clone(ports)
	for _, r := range rules {
		out = append(out, steady.Port{Target: r.Port, Transport: "tcp", Protocol: r.Protocol})
	}
	return out
}

// portProtocol reads what a published port carries.
func portProtocol(v any) (any, error) {
	switch v {
	case steady.Auto, steady.HTTP, steady.TCP, steady.H2C:
		return v, nil
	case "grpc":
		return steady.H2C, nil
	}
	return nil, fmt.Errorf("%v is none of auto, http, h2c, grpc, tcp", v)
}
