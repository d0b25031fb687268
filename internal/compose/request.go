package compose

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// request is an HTTP request that a healthcheck makes to its own container.
type request struct {
	scheme string
	port   uint16
	path   string // with its query
	method string // empty for GET
	header map[string]string
	expect []int // empty: below 400
}

// requestOf sees through a healthcheck that is an HTTP request in disguise: curl,
// wget, python or node asking localhost, whose exit code says whether the status
// was good. It is careful: an option, a pipe or a line of code that it does not
// know makes it false, and the command is run as it stands.
func requestOf(argv []string, shell string) (request, bool) {
	if shell != "" {
		words, ok := wordsOf(shell)
		if !ok {
			return request{}, false
		}
		argv = words
	} else if len(argv) == 3 && isShell(argv[0]) && argv[1] == "-c" {
		return requestOf(nil, argv[2])
	}
	if len(argv) < 2 {
		return request{}, false
	}
	switch program := filepath.Base(argv[0]); {
	case program == "curl":
		return curl.request(argv[1:])
	case program == "wget":
		return wget.request(argv[1:])
	case strings.HasPrefix(program, "python") && len(argv) == 3 && argv[1] == "-c":
		return pythonRequest(argv[2])
	case (program == "node" || program == "nodejs") && len(argv) == 3 && (argv[1] == "-e" || argv[1] == "--eval"):
		return nodeRequest(argv[2])
	}
	return request{}, false
}

func isShell(program string) bool {
	return slices.Contains([]string{"sh", "bash", "ash", "dash"}, filepath.Base(program))
}

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
		"-X": "method", "--request": "method", "-H": "header", "--header": "header", "--url": "url"},
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
	r := request{}
	address, failing := "", t.needs == ""
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			if address != "" {
				return r, false
			}
			address = arg
			continue
		}
		opts, ok := t.split(arg)
		if !ok {
			return r, false
		}
		for _, o := range opts {
			if t.takes(o.name) && !o.has {
				if i++; i >= len(args) {
					return r, false
				}
				o.value = args[i]
			}
			switch meaning := t.known[o.name]; meaning {
			case "fail":
				failing = true
			case "url":
				if address != "" {
					return r, false
				}
				address = o.value
			default:
				if !t.apply(&r, o, meaning) {
					return r, false
				}
			}
		}
	}
	return r, failing && r.at(address)
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
		if !ok || strings.ContainsAny(o.value, "\r\n@") && strings.HasPrefix(o.value, "@") {
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
	return fixed || meaning == "method" || meaning == "header" || meaning == "url" || slices.Contains(t.values, name)
}

// at reads the address; false unless it is this container's own.
func (r *request) at(address string) bool {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return false
	}
	if !slices.Contains([]string{"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"}, u.Hostname()) {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return false
	}
	r.scheme, r.port, r.path = u.Scheme, uint16(n), u.EscapedPath()
	if r.path == "" {
		r.path = "/"
	}
	if u.RawQuery != "" {
		r.path += "?" + u.RawQuery
	}
	return true
}

var (
	quoted  = regexp.MustCompile(`["'\x60](https?://[^"'\x60\s]+)["'\x60]`)
	is200   = regexp.MustCompile(`(?:status(?:_code|Code)?|getcode\(\))\)?\s*(?:={2,3}|!={1,2})\s*200\b`)
	below   = regexp.MustCompile(`(?:status(?:_code|Code)?)\s*(?:<\s*(?:400|399)|>=\s*400)`)
	isOK    = regexp.MustCompile(`\.ok\b`)
	compare = regexp.MustCompile(`[=!]==?|[<>]`)
	arrow   = regexp.MustCompile(`=>`)
	talks   = regexp.MustCompile(`(?i)header|data\s*=|body|json|auth|method|post|put\(|\bin\b`)
)

// pythonRequest understands one urlopen, which fails on a status from 400, or one
// requests.get or httpx.get whose status is looked at.
func pythonRequest(code string) (request, bool) {
	opens := strings.Count(code, "urlopen(")
	gets := strings.Count(code, "requests.get(") + strings.Count(code, "httpx.get(")
	if opens+gets != 1 || strings.Contains(code, "Request(") || strings.Contains(code, "except") {
		return request{}, false
	}
	looks := strings.Contains(code, "raise_for_status()")
	return codeRequest(code, opens == 1 || looks)
}

// nodeRequest understands one fetch or http.get whose status is looked at.
func nodeRequest(code string) (request, bool) {
	if strings.Count(code, "fetch(")+strings.Count(code, ".get(") != 1 || !strings.Contains(code, "exit(") {
		return request{}, false
	}
	return codeRequest(arrow.ReplaceAllString(code, ""), false)
}

// codeRequest finds the one address in a line of code and what status it wants.
// failing says that the call itself fails on a bad status.
func codeRequest(code string, failing bool) (request, bool) {
	var r request
	found := quoted.FindAllStringSubmatch(code, -1)
	if len(found) != 1 {
		return r, false
	}
	rest := strings.Replace(code, found[0][0], "", 1)
	switch {
	case is200.MatchString(rest):
		r.expect = []int{200}
		rest = is200.ReplaceAllString(rest, "")
	case below.MatchString(rest):
		rest = below.ReplaceAllString(rest, "")
	case isOK.MatchString(rest):
	case !failing:
		return r, false
	}
	if compare.MatchString(rest) || talks.MatchString(rest) {
		return r, false
	}
	return r, r.at(found[0][1])
}
