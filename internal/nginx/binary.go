package nginx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
)

// program finds nginx. Debian's lies where a user's PATH may not lead.
func (h *Host) program() (string, error) {
	if h.binary != "" {
		if _, err := exec.LookPath(h.binary); err != nil {
			return "", missing()
		}
		return h.binary, nil
	}
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", missing()
}

func missing() error {
	return steady.ErrNginx.With("nginx is not installed on this machine", "sudo apt-get install nginx")
}

// run runs nginx with its configuration. said is its standard error, in lines.
func (h *Host) run(ctx context.Context, args ...string) (out string, said []string, err error) {
	program, err := h.program()
	if err != nil {
		return "", nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, append([]string{"-c", h.conf()}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), lines(stderr.String()), err
}

// dump tests the configuration and gives it whole, as nginx -T writes it.
func (h *Host) dump(ctx context.Context) (configuration, error) {
	out, said, err := h.run(ctx, "-T")
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		e := steady.ErrNginx.With("nginx -t fails", h.testCommand())
		e.Tail = tail(said, 10)
		return configuration{}, e
	}
	if err != nil {
		return configuration{}, fmt.Errorf("run nginx -t: %w", err)
	}
	return read(out), nil
}

func (h *Host) testCommand() string {
	if h.confDir == steady.DefaultConfDir {
		return "sudo nginx -t"
	}
	return "sudo nginx -t -c " + h.conf()
}

// Version is what `nginx -v` says. The zero value is that of an unknown one.
type Version [3]int

// Versions from which nginx writes or does something in another way.
var (
	http2Directive  = Version{1, 25, 1} // `http2 on`; `listen … http2` is a warning since
	politeReload    = Version{1, 27, 4} // keepalive_min_timeout: a reload spares idle connections
	upstreamTimeout = Version{1, 15, 3} // keepalive_timeout within upstream
)

// AtLeast says whether v is w or later.
func (v Version) AtLeast(w Version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] > w[i]
		}
	}
	return true
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

var versionText = regexp.MustCompile(`nginx/(\d+)\.(\d+)\.(\d+)`)

// Version asks nginx which one it is.
func (h *Host) Version(ctx context.Context) (Version, error) {
	program, err := h.program()
	if err != nil {
		return Version{}, err
	}
	out, err := exec.CommandContext(ctx, program, "-v").CombinedOutput()
	if err != nil {
		return Version{}, fmt.Errorf("ask nginx for its version: %w", err)
	}
	m := versionText.FindSubmatch(out)
	if m == nil {
		return Version{}, fmt.Errorf("ask nginx for its version: it said %q", out)
	}
	var v Version
	for i := range v {
		v[i], _ = strconv.Atoi(string(m[i+1])) // digits, by the expression
	}
	return v, nil
}

func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			out = append(out, line)
		}
	}
	return out
}

func tail(of []string, n int) []string { return of[max(len(of)-n, 0):] }
