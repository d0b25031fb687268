package nginx

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// master is the pid of nginx's master process; 0: it does not run.
func (h *Host) master(ctx context.Context, c configuration) int {
	path := c.first("pid")
	if path == "" {
		path = h.compiled(ctx, "pid-path")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 || !strings.HasPrefix(commandLine(pid), "nginx: master") {
		return 0 // a pid file that outlived its process, whose number may be another's now
	}
	return pid
}

// compiled is a path that was given when nginx was built.
func (h *Host) compiled(ctx context.Context, name string) string {
	program, err := h.program()
	if err != nil {
		return ""
	}
	out, _ := exec.CommandContext(ctx, program, "-V").CombinedOutput() // nothing said is nothing found
	m := regexp.MustCompile(`--` + regexp.QuoteMeta(name) + `=(\S+)`).FindSubmatch(out)
	if m == nil {
		return ""
	}
	return string(m[1])
}

// workers lists the worker processes of a master.
func workers(master int) map[int]bool {
	out := map[int]bool{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || parent(pid) != master || !strings.HasPrefix(commandLine(pid), "nginx: worker") {
			continue
		}
		out[pid] = true
	}
	return out
}

func commandLine(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // empty when it has ended
	return string(b)
}

// parent is field 4 of /proc/PID/stat (proc(5)); 0 when the process has ended.
func parent(pid int) int {
	fields := stat(pid)
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(fields[1])
	return n
}

// stat is what stands in /proc/PID/stat from the state on, field 3.
func stat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	text := string(b)
	return strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
}

// ticksPerSecond is USER_HZ, which Linux shows to programs as 100 everywhere.
const ticksPerSecond = 100

// started is when a process began: field 22 of its stat, in ticks since boot.
func started(pid int) time.Time {
	fields := stat(pid)
	if len(fields) < 20 {
		return time.Time{}
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return booted().Add(time.Duration(ticks) * time.Second / ticksPerSecond)
}

// booted is the moment from which the kernel counts.
func booted() time.Time {
	b, _ := os.ReadFile("/proc/stat")
	_, rest, _ := strings.Cut(string(b), "\nbtime ")
	line, _, _ := strings.Cut(rest, "\n")
	sec, _ := strconv.ParseInt(line, 10, 64)
	return time.Unix(sec, 0)
}

// reloaded is when the youngest worker began: at the last reload that nginx took,
// or when a worker that had died was replaced. Zero when nginx does not run.
func reloaded(master int) time.Time {
	var last time.Time
	for pid := range workers(master) {
		if t := started(pid); t.After(last) {
			last = t
		}
	}
	return last
}

func signal(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); err != nil {
		return fmt.Errorf("signal nginx, pid %d: %w", pid, err)
	}
	return nil
}
