package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// soon is how long anything that must come may take on a busy machine.
const soon = 60 * time.Second

// host is a server with a daemon of its own: state, sockets, proxy. The Engine
// is shared, so every test has a project name of its own.
type host struct {
	t       testing.TB
	dir     string // the Compose file's
	state   string
	run     string
	project string
	env     map[string]string
	binary  string
	flags   []string // of the daemon, besides where it keeps things
	daemon  *exec.Cmd
	log     logFile
	exited  chan error
}

// logFile prints as what is in it.
type logFile struct{ path string }

func (l logFile) String() string {
	b, err := os.ReadFile(l.path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// newHost boots a daemon with the race detector and lays the reference stack out
// for it. A race ends the process that has it, and so the test.
func newHost(t testing.TB, project string) *host { return hostOf(t, project, raced) }

// swiftHost is one with the binary as users have it, for heavy load and for time.
func swiftHost(t testing.TB, project string) *host { return hostOf(t, project, binary) }

func hostOf(t testing.TB, project, binary string) *host {
	t.Helper()
	beside(t)
	h := &host{t: t, binary: binary, dir: t.TempDir(), state: t.TempDir(), run: shortDir(t), project: project, env: map[string]string{
		"API_PORT": freePort(t), "REPORT_PORT": freePort(t), "GESALP_RELEASE": "1", "LOAD_TIME": "300ms",
	}}
	h.log.path = filepath.Join(h.run, "log")
	h.copyStack()
	h.boot()
	t.Cleanup(h.tearDown)
	return h
}

// shortDir is short enough for a socket's name, which holds 107 bytes.
func shortDir(t testing.TB) string {
	t.Helper()
	d, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(d) })
	return d
}

// The ports that tests ask for: below those that the kernel gives to clients and to
// whoever does not ask, so that nobody has one by chance before it is listened on.
const portsFrom, portsTo = 20000, 32000

// portsGiven counts them, from another begin in each process.
var portsGiven = func() *atomic.Uint32 {
	n := new(atomic.Uint32)
	n.Store(rand.Uint32N(portsTo - portsFrom))
	return n
}()

// freePort gives a port to one test only.
func freePort(t testing.TB) string {
	t.Helper()
	for range portsTo - portsFrom {
		port := fmt.Sprint(portsFrom + portsGiven.Add(1)%(portsTo-portsFrom))
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func (h *host) copyStack() {
	h.t.Helper()
	stack := filepath.Join(repo, "examples/gesalp")
	for from, to := range map[string]string{"docker-compose.prod.yml": "docker-compose.prod.yml", "ENV_TEMPLATE.txt": ".env", "Dockerfile": "Dockerfile"} {
		b, err := os.ReadFile(filepath.Join(stack, from))
		if err != nil {
			h.t.Fatal(err)
		}
		h.write(to, string(b))
	}
}

// write puts a file beside the Compose file.
func (h *host) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func (h *host) socket() string { return filepath.Join(h.run, "steady.sock") }

// boot starts the daemon and waits until it answers.
func (h *host) boot(env ...string) {
	h.t.Helper()
	log, err := os.OpenFile(h.log.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close()
	h.daemon = exec.Command(h.binary, append([]string{"daemon", "--state", h.state, "--run-dir", h.run, "--socket", h.socket()}, h.flags...)...)
	h.daemon.Stderr = log // a file: the proxy, which outlives the daemon, writes there too
	h.daemon.Env = append(append(os.Environ(), "GORACE=halt_on_error=1 atexit_sleep_ms=50"), env...)
	if err := h.daemon.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.exited = make(chan error, 1)
	go func(d *exec.Cmd, exited chan<- error) { exited <- d.Wait() }(h.daemon, h.exited)
	h.eventually("the daemon answers", func() bool { return h.proxyPID() > 0 })
}

// stop ends the daemon as an operator would.
func (h *host) stop() {
	h.t.Helper()
	_ = h.daemon.Process.Signal(syscall.SIGTERM)
	select {
	case <-h.exited:
	case <-time.After(soon):
		h.t.Errorf("the daemon did not stop\n%s", h.log)
	}
}

func (h *host) tearDown() {
	if r := h.steady("down", "-p", h.project, "--volumes"); r.code != 0 && !strings.Contains(r.err, "ever deployed") {
		h.t.Errorf("down: exit %d\n%s", r.code, r.err)
	}
	pid := h.proxyPID()
	h.stop()
	if pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	h.sweep()
	if h.t.Failed() {
		h.t.Logf("daemon's log:\n%s", h.log)
	}
}

// sweep removes what a failed test left, and says so.
func (h *host) sweep() {
	left := h.all()
	if len(left) == 0 {
		return
	}
	h.t.Errorf("left behind: %v", left)
	_ = exec.Command("docker", append([]string{"rm", "-f", "-v"}, left...)...).Run()
}

// containers names the containers of the project's services, in any state.
func (h *host) containers() []string {
	return slices.DeleteFunc(h.all(), func(name string) bool { return strings.HasSuffix(name, "-steady") })
}

// all names all containers of the project, holders too.
func (h *host) all() []string {
	out, err := exec.Command("docker", "ps", "-a", "--filter", "label=com.docker.compose.project="+h.project, "--format", "{{.Names}}").Output()
	if err != nil {
		h.t.Fatalf("docker ps: %v", err)
	}
	names := strings.Fields(string(out))
	slices.Sort(names)
	return names
}

func (h *host) proxyPID() int {
	var v struct{ Daemon struct{ Proxy int } }
	_ = json.Unmarshal([]byte(h.steady("version", "--json").out), &v)
	return v.Daemon.Proxy
}

// result is how a command ended.
type result struct {
	code     int
	out, err string
}

// steady runs the binary in the stack's directory.
func (h *host) steady(args ...string) result { return h.with(nil, args...) }

// with runs the binary with more environment.
func (h *host) with(env map[string]string, args ...string) result {
	h.t.Helper()
	cmd := h.command(env, args...)
	var out, serr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &serr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("steady %v: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), serr.String()}
}

func (h *host) command(env map[string]string, args ...string) *exec.Cmd {
	all := maps.Clone(h.env)
	maps.Copy(all, env)
	cmd := exec.Command(binary, args...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), "STEADY_SOCKET="+h.socket(), "COMPOSE_PROJECT_NAME="+h.project, "COMPOSE_FILE="+h.files())
	for k, v := range all {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// files are the stack's Compose file and the test's override, if it wrote one.
func (h *host) files() string {
	files := "docker-compose.prod.yml"
	if _, err := os.Stat(filepath.Join(h.dir, "override.yml")); err == nil {
		files += ":override.yml"
	}
	return files
}

// deploy deploys and fails the test where that fails.
func (h *host) deploy(release int, args ...string) result {
	h.t.Helper()
	h.env["GESALP_RELEASE"] = fmt.Sprint(release)
	r := h.steady(append([]string{"deploy", "-y", "--progress", "plain"}, args...)...)
	if r.code != 0 {
		h.t.Fatalf("deploy release %d: exit %d\n%s%s\ndaemon:\n%s", release, r.code, r.out, r.err, h.log)
	}
	return r
}

func (h *host) api() string { return "http://127.0.0.1:" + h.env["API_PORT"] }

func (h *host) eventually(what string, ok func() bool) {
	h.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(soon); !ok(); {
		select {
		case <-tick.C:
		case err := <-h.exited:
			h.t.Fatalf("while waiting that %s the daemon ended: %v\n%s", what, err, h.log)
		case <-late:
			h.t.Fatalf("it did not come to pass that %s\n%s", what, h.log)
		}
	}
}
