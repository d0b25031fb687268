package doctor

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Nginx is the host's nginx and what it passes on.
type Nginx struct {
	Installed bool
	Running   bool
	Broken    []string // what nginx -t says of a configuration that does not load
	Passes    []Pass
	Errors    []string // last lines of its error logs about upstreams
}

// Pass is one place that nginx passes requests on to.
type Pass struct {
	Site      string // server_name, or what it listens on
	Addr      string // "127.0.0.1:8000", or the path of a socket
	File      string // of the configuration
	Upstream  string // name of the upstream block; empty: named in proxy_pass itself
	KeepAlive bool   // connections to it are kept
	// IdleTimeout is how long nginx keeps one that nobody uses.
	IdleTimeout time.Duration
}

// near says whether the address is on this host or its private networks: others
// are not dialled.
func (p Pass) near() bool {
	if strings.HasPrefix(p.Addr, "/") {
		return true
	}
	host, _, err := net.SplitHostPort(p.Addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && (ip.IsLoopback() || ip.IsPrivate())
}

// nginxIdle is nginx's own keepalive_timeout within upstream.
const nginxIdle = 60 * time.Second

// nginx has nginx test its configuration and print it. As nginx -t does, that opens
// the log files which the configuration names.
func nginx(ctx context.Context, config string) Nginx {
	n := Nginx{Installed: program("nginx") != "", Running: nginxRuns()}
	if !n.Installed {
		return n
	}
	args := []string{"-T", "-q"}
	if config != "" {
		args = append(args, "-c", config)
	}
	dump, said, err := run(ctx, "nginx", args...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		// Without root's rights nginx may not open what it names: that says nothing.
		if os.Geteuid() == 0 || !strings.Contains(said, "Permission denied") {
			n.Broken = emergencies(said)
		}
		return n
	}
	top := parseNginx(dump)
	n.Passes = passes(top)
	n.Errors = upstreamErrors(top)
	return n
}

func nginxRuns() bool {
	all, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, path := range all {
		if text(path) == "nginx" {
			return true
		}
	}
	return false
}

// emergencies are the lines that say what is wrong.
func emergencies(said string) []string {
	var out []string
	for line := range strings.Lines(said) {
		if strings.Contains(line, "[emerg]") || strings.Contains(line, "[crit]") || strings.Contains(line, "[alert]") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	if len(out) == 0 {
		out = lastLines(said, 2)
	}
	return out
}

func lastLines(said string, n int) []string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	return lines[max(len(lines)-n, 0):]
}

// passes lists where each server passes requests on to.
func passes(top []directive) []Pass {
	upstreams := map[string]directive{}
	each(top, func(d directive) {
		if d.name == "upstream" && len(d.args) == 1 {
			upstreams[d.args[0]] = d
		}
	})
	return within(top, "", upstreams)
}

// within lists what is passed on by directives of one site. A file that is included
// in a server's block stands by itself and has no name but its own.
func within(all []directive, site string, upstreams map[string]directive) []Pass {
	var out []Pass
	for _, d := range all {
		inner := site
		switch d.name {
		case "server":
			inner = siteOf(d)
		case "proxy_pass", "grpc_pass":
			if len(d.args) != 1 || strings.Contains(d.args[0], "$") {
				continue
			}
			for _, p := range targets(d.args[0], upstreams) {
				p.Site, p.File = cmp.Or(site, filepath.Base(d.file)), d.file
				out = append(out, p)
			}
		}
		out = append(out, within(d.block, inner, upstreams)...)
	}
	return out
}

func siteOf(server directive) string {
	for _, name := range []string{"server_name", "listen"} {
		for _, d := range server.block {
			if d.name == name && len(d.args) > 0 && d.args[0] != "_" {
				return d.args[0]
			}
		}
	}
	return "a server without a name"
}

// targets are the addresses of one proxy_pass: those of the upstream it names, or
// its own.
func targets(pass string, upstreams map[string]directive) []Pass {
	scheme, rest, ok := strings.Cut(pass, "://")
	if !ok {
		return nil
	}
	if path, ok := strings.CutPrefix(rest, "unix:"); ok {
		path, _, _ = strings.Cut(path, ":")
		return []Pass{{Addr: path}}
	}
	u, err := url.Parse("x://" + rest)
	if err != nil {
		return nil
	}
	up, named := upstreams[u.Host]
	if !named {
		return []Pass{{Addr: withPort(u.Host, scheme)}}
	}
	p := Pass{Upstream: u.Host, IdleTimeout: nginxIdle}
	var out []Pass
	for _, d := range up.block {
		switch {
		case d.name == "keepalive":
			p.KeepAlive = true
		case d.name == "keepalive_timeout" && len(d.args) > 0:
			p.IdleTimeout = nginxTime(d.args[0])
		}
	}
	for _, d := range up.block {
		if d.name == "server" && len(d.args) > 0 && !down(d.args) {
			p.Addr = withPort(d.args[0], "http")
			if path, ok := strings.CutPrefix(d.args[0], "unix:"); ok {
				p.Addr = path
			}
			out = append(out, p)
		}
	}
	return out
}

func down(args []string) bool {
	for _, a := range args[1:] {
		if a == "down" {
			return true
		}
	}
	return false
}

func withPort(host, scheme string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	if scheme == "https" || scheme == "grpcs" {
		return net.JoinHostPort(host, "443")
	}
	return net.JoinHostPort(host, "80")
}

// nginxTime reads "60s", "1m", "1500ms" or seconds; 0 when it cannot.
func nginxTime(s string) time.Duration {
	if d, err := time.ParseDuration(s); err == nil {
		return d
	}
	d, err := time.ParseDuration(s + "s")
	if err != nil {
		return 0
	}
	return d
}

// tailBytes is how much of an error log is read.
const tailBytes = 64 << 10

// upstreamErrors are the last lines about upstreams in the error logs that the
// configuration names.
func upstreamErrors(top []directive) []string {
	var out []string
	seen := map[string]bool{}
	each(top, func(d directive) {
		if d.name != "error_log" || len(d.args) == 0 || !filepath.IsAbs(d.args[0]) || seen[d.args[0]] {
			return
		}
		seen[d.args[0]] = true
		for line := range strings.Lines(tailOf(d.args[0])) {
			if strings.Contains(line, "upstream") {
				out = append(out, strings.TrimSpace(line))
			}
		}
	})
	return out
}

func tailOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	i, err := f.Stat()
	if err != nil || !i.Mode().IsRegular() {
		return ""
	}
	b := make([]byte, min(i.Size(), tailBytes))
	n, _ := f.ReadAt(b, i.Size()-int64(len(b)))
	return string(b[:n])
}
