package compose

import (
	"slices"
	"strings"
)

// tool describes the options of a command-line client.
type tool struct {
	flags  []string            // without a value, no matter to us
	values []string            // with a value, no matter to us
	known  map[string]string   // option → what it means: method, header, fail, insecure
	needs  string              // the meaning without which the exit code says nothing of the status
	fixed  map[string][]string // value options of which only these values are understood
}

var curl = tool{
	flags: []string{"-s", "--silent", "-S", "--show-error", "-L", "--location", "-v", "--verbose", "-i", "--include",
		"-k", "--insecure", "-g", "--globoff", "-4", "--ipv4", "-6", "--ipv6", "-q", "--disable", "-N", "--no-buffer",
		"--no-progress-meter", "--http1.1", "-0", "--http1.0", "--compressed", "--retry-connrefused", "--retry-all-errors"},
	values: []string{"-m", "--max-time", "--connect-timeout", "--retry", "--retry-delay", "--retry-max-time", "-A", "--user-agent"},
	known: map[string]string{"-f": "fail", "--fail": "fail", "--fail-with-body": "fail", "-I": "head", "--head": "head",
		"-X": "method", "--request": "method", "-H": "header", "--header": "header"},
	needs: "fail",
	fixed: map[string][]string{"-o": {"/dev/null"}, "--output": {"/dev/null"}},
}

// wget asks with HEAD under --spider, and again with GET where HEAD is refused;
// busybox asks with GET. So GET it is.
var wget = tool{
	flags: []string{"-q", "--quiet", "-nv", "--no-verbose", "-v", "--verbose", "-S", "--server-response", "--spider",
		"--no-check-certificate", "--no-cache", "-4", "--inet4-only", "-6", "--inet6-only", "--no-proxy", "-c", "--continue"},
	values: []string{"-t", "--tries", "-T", "--timeout", "--connect-timeout", "--read-timeout", "--dns-timeout", "-w", "--wait",
		"-Y", "--proxy", "-U", "--user-agent", "--waitretry"},
	known: map[string]string{"--method": "method", "--header": "header"},
	fixed: map[string][]string{"-O": {"/dev/null", "-"}, "--output-document": {"/dev/null", "-"}},
}

// request reads the arguments of a call.
func (t tool) request(args []string) (request, bool) {
	opts, address, ok := t.parse(args)
	if !ok {
		return request{}, false
	}
	r, failing := request{}, t.needs == ""
	for _, o := range opts {
		meaning := t.known[o.name]
		if meaning == "fail" {
			failing = true
		}
		if !t.apply(&r, o, meaning) {
			return request{}, false
		}
	}
	return r, failing && r.at(address)
}

// parse sorts arguments into options with their values and one address.
func (t tool) parse(args []string) (opts []option, address string, ok bool) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			if address != "" {
				return nil, "", false
			}
			address = arg
			continue
		}
		word, known := t.split(arg)
		if !known {
			return nil, "", false
		}
		if last := &word[len(word)-1]; t.takes(last.name) && !last.has {
			if len(args) == 0 {
				return nil, "", false
			}
			last.value, args = args[0], args[1:]
		}
		opts = append(opts, word...)
	}
	return opts, address, true
}

// apply takes one option into the request; false when its value is not understood.
func (t tool) apply(r *request, o option, meaning string) bool {
	switch meaning {
	case "head":
		r.method = "HEAD"
	case "method":
		m := strings.ToUpper(o.value)
		if m != "GET" && m != "HEAD" && m != "OPTIONS" {
			return false
		}
		if r.method = m; m == "GET" {
			r.method = ""
		}
	case "header":
		name, value, ok := strings.Cut(o.value, ":")
		if !ok || strings.HasPrefix(o.value, "@") { // curl reads a file after @
			return false
		}
		if r.header == nil {
			r.header = map[string]string{}
		}
		r.header[strings.TrimSpace(name)] = strings.TrimSpace(value)
	default:
		if allowed, ok := t.fixed[o.name]; ok {
			return slices.Contains(allowed, o.value)
		}
	}
	return true
}

type option struct {
	name, value string
	has         bool // the value stands in the same word
}

// split takes a word such as -fsS, -m5, -O-, --max-time=5 or --spider apart.
func (t tool) split(word string) ([]option, bool) {
	if strings.HasPrefix(word, "--") {
		name, value, has := strings.Cut(word, "=")
		return []option{{name, value, has}}, t.knows(name)
	}
	if t.knows(word) && !t.takes(word) {
		return []option{{name: word}}, true // -nv
	}
	var out []option
	for i := 1; i < len(word); i++ {
		name := "-" + word[i:i+1]
		if !t.knows(name) {
			return nil, false
		}
		if t.takes(name) && i+1 < len(word) {
			return append(out, option{name, word[i+1:], true}), true
		}
		out = append(out, option{name: name})
	}
	return out, true
}

func (t tool) knows(name string) bool {
	_, known := t.known[name]
	return known || t.takes(name) || slices.Contains(t.flags, name)
}

func (t tool) takes(name string) bool {
	_, fixed := t.fixed[name]
	meaning := t.known[name]
	return fixed || meaning == "method" || meaning == "header" || slices.Contains(t.values, name)
}
