package compose

import (
	"net/url"
	"path/filepath"
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
