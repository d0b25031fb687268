// Package process tells whether one process of this machine still lives, whoever
// gets its number afterwards. It reads what everybody may read under /proc and
// needs no privilege; a /proc mounted with hidepid shows it only its own user's.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"gesalpai.ch/steady"
)

// ErrEnded says that there is no such process any more, or never was.
var ErrEnded = errors.New("the process has ended")

// boot is which start of the machine this is; empty where the kernel does not tell.
var boot = sync.OnceValue(func() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
})

// Identify tells which process has that number now, and whether its network
// namespace has all of those addresses. ErrEnded where none has it.
func Identify(pid int, addresses ...netip.Addr) (steady.Process, error) {
	h, err := open(pid)
	if err != nil {
		return steady.Process{}, err
	}
	defer h.Close()
	_, started, err := h.stat()
	if err != nil {
		return steady.Process{}, err
	}
	p := steady.Process{Boot: boot(), PID: pid, Started: started, Network: len(addresses) > 0}
	for _, a := range addresses {
		p.Network = p.Network && h.Has(a)
	}
	return p, nil
}

// Visible says whether we see the processes of others at all, by the one that
// always runs: not where /proc is mounted with hidepid, proc(5).
func Visible() bool {
	h, err := open(1)
	if err != nil {
		return false
	}
	defer h.Close()
	_, _, err = h.stat()
	return err == nil
}

// Handle is one process. It refers to that process only: once it has ended, no
// other that gets its number is taken for it. It may be used by several goroutines.
type Handle struct {
	of     steady.Process
	dir    *os.File // /proc/PID: the kernel binds it to the process, not to the number
	closed chan struct{}
}

// Open finds a process again; ErrEnded where it has ended, also with the machine.
func Open(p steady.Process) (*Handle, error) {
	if p.Boot == "" || p.Boot != boot() {
		return nil, ErrEnded
	}
	h, err := open(p.PID)
	if err != nil {
		return nil, err
	}
	h.of = p
	if !h.Alive() {
		h.Close()
		return nil, ErrEnded
	}
	return h, nil
}

func open(pid int) (*Handle, error) {
	dir, err := os.OpenFile("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrEnded
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &Handle{of: steady.Process{PID: pid}, dir: dir, closed: make(chan struct{})}, nil
}

// Close lets go of the process, once; a Wait returns.
func (h *Handle) Close() {
	close(h.closed)
	_ = h.dir.Close()
}

// Alive says whether the process has not ended.
func (h *Handle) Alive() bool {
	state, started, err := h.stat()
	return err == nil && started == h.of.Started && state != "Z" && state != "X"
}

// stat reads the state and the start of the process: fields 3 and 22 of its stat,
// proc_pid_stat(5). The name before them may hold anything.
func (h *Handle) stat() (state string, started uint64, err error) {
	b, err := h.read("stat")
	if err != nil {
		return "", 0, ErrEnded
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return "", 0, fmt.Errorf("stat of process %d: %d fields", h.of.PID, len(fields))
	}
	started, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0], started, err
}

// read reads a file of the process's directory.
func (h *Handle) read(name string) (b []byte, err error) {
	raw, err := h.dir.SyscallConn()
	if err != nil {
		return nil, err
	}
	refused := raw.Control(func(dir uintptr) { b, err = readAt(int(dir), name) })
	return b, errors.Join(refused, err)
}

func readAt(dir int, name string) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, 0, 4096)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := unix.Read(fd, b[len(b):cap(b)])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return b, err
		}
		b = b[:len(b)+n]
	}
}
