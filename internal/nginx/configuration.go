package nginx

import (
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// configuration is all that nginx read, by file.
type configuration struct {
	files []file
}

type file struct {
	path       string
	directives []directive
}

// directive is one statement: its words, and what is between its braces.
type directive struct {
	words []string
	block []directive
}

// server is a server block as far as two of them can get in each other's way.
type server struct {
	file  string
	names []string
	ports []string
	pass  []string // addresses that it passes on to
}

const fileHead = "# configuration file "

// read takes what nginx -T writes.
func read(dump string) configuration {
	var c configuration
	var text strings.Builder
	path := ""
	end := func() {
		if path != "" {
			c.files = append(c.files, file{path, parse(text.String())})
		}
		text.Reset()
	}
	for line := range strings.Lines(dump) {
		if rest, ok := strings.CutPrefix(line, fileHead); ok && strings.HasSuffix(rest, ":\n") {
			end()
			path = strings.TrimSuffix(rest, ":\n")
			continue
		}
		text.WriteString(line)
	}
	end()
	return c
}

func (c configuration) has(path string) bool {
	return slices.ContainsFunc(c.files, func(f file) bool { return f.path == path })
}

// walk visits every directive, those within blocks after the one they are in.
func (c configuration) walk(visit func(file string, d directive)) {
	var into func(string, []directive)
	into = func(path string, ds []directive) {
		for _, d := range ds {
			visit(path, d)
			into(path, d.block)
		}
	}
	for _, f := range c.files {
		into(f.path, f.directives)
	}
}

// first is the argument of the first directive of that name outside all blocks.
func (c configuration) first(name string) string {
	for _, f := range c.files {
		for _, d := range f.directives {
			if d.words[0] == name && len(d.words) > 1 {
				return d.words[1]
			}
		}
	}
	return ""
}

// servers lists the server blocks, those of one file, or of all where it is empty.
func (c configuration) servers() []server {
	upstreams := map[string][]string{}
	c.walk(func(_ string, d directive) {
		if d.words[0] == "upstream" && len(d.words) > 1 {
			upstreams[d.words[1]] = arguments(d.block, "server")
		}
	})
	var out []server
	c.walk(func(path string, d directive) {
		if d.words[0] != "server" || d.block == nil {
			return
		}
		s := server{file: path}
		for _, in := range d.block {
			switch in.words[0] {
			case "server_name":
				s.names = append(s.names, in.words[1:]...)
			case "listen":
				s.ports = append(s.ports, portOf(in.words[1:]))
			}
		}
		if len(s.ports) == 0 {
			s.ports = []string{"80"}
		}
		s.pass = passes(d.block, upstreams)
		out = append(out, s)
	})
	return out
}

// arguments are the first arguments of a block's directives of that name.
func arguments(block []directive, name string) []string {
	var out []string
	for _, d := range block {
		if d.words[0] == name && len(d.words) > 1 {
			out = append(out, d.words[1])
		}
	}
	return out
}

// passes lists the addresses that a block passes requests on to, each once.
func passes(block []directive, upstreams map[string][]string) []string {
	var out []string
	add := func(addr string) {
		if !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	for _, d := range block {
		for _, addr := range passes(d.block, upstreams) {
			add(addr)
		}
		if d.words[0] != "proxy_pass" || len(d.words) < 2 {
			continue
		}
		u, err := url.Parse(d.words[1])
		if err != nil {
			continue
		}
		behind, ok := upstreams[u.Host]
		if !ok {
			behind = []string{u.Host}
		}
		for _, addr := range behind {
			add(canonical(addr))
		}
	}
	return out
}

// canonical writes an address of this machine in one way.
func canonical(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if host == "localhost" || host == "0.0.0.0" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// portOf is the port of a listen directive's arguments; a socket's path as it is.
func portOf(args []string) string {
	if len(args) == 0 || strings.HasPrefix(args[0], "unix:") {
		return strings.Join(args, " ")
	}
	if _, port, err := net.SplitHostPort(args[0]); err == nil {
		return port
	}
	if strings.Trim(args[0], "0123456789") == "" {
		return args[0]
	}
	return "80"
}

// of says whether the server block stands in the file of that site.
func (s server) of(enabled, available string) bool {
	if s.file == enabled || s.file == available {
		return true
	}
	real, err := filepath.EvalSymlinks(s.file)
	return err == nil && real == available
}
