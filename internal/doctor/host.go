package doctor

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gesalpai.ch/steady"
)

// tools are the programs that steady or the Engine runs on this host.
var tools = []string{"iptables-restore", "ip6tables-restore"}

// unitDirs are where systemd looks for units (systemd.unit(5)).
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// units are steady's.
var units = []string{"steady.service", "steady-proxy.service"}

// host looks at this machine.
func host(ctx context.Context) Host {
	h := Host{Root: os.Geteuid() == 0, Tools: map[string]bool{}, Units: map[string]Unit{}, Memory: hostMemory()}
	var clock unix.Timex // no modes: it is only read
	if state, err := unix.Adjtimex(&clock); err == nil {
		h.ClockKnown, h.ClockSynced = true, state != unix.TIME_ERROR && clock.Status&unix.STA_UNSYNC == 0
	}
	for _, name := range tools {
		h.Tools[name] = program(name) != ""
	}
	h.Firewall = firewall(ctx)
	h.Systemd = text("/proc/1/comm") == "systemd"
	for _, name := range units {
		h.Units[name] = unit(name)
	}
	return h
}

// text is a small file without the space around; empty when it cannot be read.
func text(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// program finds a program, also where only root's PATH leads.
func program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, name)
		if i, err := os.Stat(path); err == nil && i.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// run gives what a program writes to its two outputs. It is killed when ctx ends.
func run(ctx context.Context, name string, args ...string) (stdout, stderr string, err error) {
	path := program(name)
	if path == "" {
		return "", "", exec.ErrNotFound
	}
	var answer, said bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &answer, &said, time.Second
	err = cmd.Run()
	return answer.String(), said.String(), err
}

func hostMemory() Memory {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return Memory{}
	}
	return parseMemory(b)
}

// parseMemory reads /proc/meminfo (proc_meminfo(5)), whose figures are in KiB.
func parseMemory(b []byte) Memory {
	var m Memory
	fields := map[string]*uint64{"MemTotal": &m.Total, "MemAvailable": &m.Available, "SwapTotal": &m.SwapTotal, "SwapFree": &m.SwapFree}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		name, rest, _ := strings.Cut(s.Text(), ":")
		to, ok := fields[name]
		words := strings.Fields(rest)
		if !ok || len(words) == 0 {
			continue
		}
		if n, err := strconv.ParseUint(words[0], 10, 54); err == nil {
			*to = n << 10
		}
	}
	return m
}

// disks are the file systems of what must be written, each once.
func disks(e *steady.Examined, stateDir string) []Disk {
	var out []Disk
	seen := map[unix.Fsid]bool{}
	add := func(path, what string) {
		var s unix.Statfs_t
		if path == "" || unix.Statfs(existing(path), &s) != nil || seen[s.Fsid] {
			return
		}
		seen[s.Fsid] = true
		size := uint64(s.Bsize)
		out = append(out, Disk{
			Path: path, For: what, Total: s.Blocks * size, Free: s.Bavail * size, Nodes: s.Files, NodesFree: s.Ffree,
		})
	}
	add(stateDir, "steady's state")
	if e != nil {
		add(e.Root, "the Engine's data")
	}
	return out
}

// existing is the nearest directory above that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// unit says whether a unit's file is there and whether something wants it.
func unit(name string) Unit {
	var u Unit
	for _, dir := range unitDirs {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			u.Installed = true
		}
		if wanted, _ := filepath.Glob(filepath.Join(dir, "*.wants", name)); len(wanted) > 0 {
			u.Enabled = true
		}
	}
	return u
}

// firewall names what drops whatever is not allowed in, where something does.
func firewall(ctx context.Context) string {
	if strings.Contains(text("/etc/ufw/ufw.conf"), "ENABLED=yes") {
		return "ufw"
	}
	if said, _, err := run(ctx, "firewall-cmd", "--state"); err == nil && strings.TrimSpace(said) == "running" {
		return "firewalld"
	}
	if said, _, err := run(ctx, "iptables", "-w", "2", "-S", "INPUT"); err == nil && dropsByPolicy(said) {
		return "iptables"
	}
	if said, _, err := run(ctx, "nft", "list", "chains"); err == nil && inputDrops(said) {
		return "nftables"
	}
	return ""
}

func dropsByPolicy(rules string) bool {
	return strings.Contains(rules, "-P INPUT DROP") || strings.Contains(rules, "-P INPUT REJECT")
}

// inputDrops reads `nft list chains`: a base chain at hook input with policy drop.
func inputDrops(chains string) bool {
	for line := range strings.Lines(chains) {
		if strings.Contains(line, "hook input") && strings.Contains(line, "policy drop") {
			return true
		}
	}
	return false
}

// deaf says whether a container's first process does not hear the signal: as
// process 1 of its namespace it gets no default action (pid_namespaces(7)), so a
// signal without a handler is lost on it.
func deaf(pid int, signal string) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return false
	}
	return ignores(string(b), unix.SignalNum(signal))
}

// inits take signals by sigwait and pass them on.
var inits = []string{"docker-init", "tini", "tini-static", "dumb-init", "catatonit", "init"}

// ignores reads /proc/PID/status: the process is the first of its namespace and has
// no handler for the signal. One that blocks it takes it by signalfd. While sigwait
// waits the kernel shows the signal as not blocked, so inits that use it go by name.
func ignores(status string, signal unix.Signal) bool {
	if signal <= 0 || signal == unix.SIGKILL {
		return false
	}
	var first, known, waits bool
	var caught, blocked uint64
	for line := range strings.Lines(status) {
		name, rest, _ := strings.Cut(line, ":")
		words := strings.Fields(rest)
		switch {
		case len(words) == 0:
		case name == "NSpid":
			first = len(words) > 1 && words[len(words)-1] == "1"
		case name == "Name":
			waits = slices.Contains(inits, words[0])
		case name == "SigBlk":
			blocked, _ = strconv.ParseUint(words[0], 16, 64)
		case name == "SigCgt":
			n, err := strconv.ParseUint(words[0], 16, 64)
			caught, known = n, err == nil
		}
	}
	return first && known && !waits && (caught|blocked)&(1<<(uint(signal)-1)) == 0
}
