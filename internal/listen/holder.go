package listen

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Holder is the process that listens on an address.
type Holder struct {
	PID     int    // 0 when the process belongs to someone whose files we may not read
	Command string // its name: "nginx"
	Docker  string // "172.18.0.3:8000" when it is Docker's proxy for that container
}

// String names the holder for a person.
func (h Holder) String() string {
	switch {
	case h.PID == 0:
		return "another process"
	case h.Docker != "":
		return fmt.Sprintf("a Docker container at %s (%s, pid %d)", h.Docker, h.Command, h.PID)
	default:
		return fmt.Sprintf("%s (pid %d)", h.Command, h.PID)
	}
}

// FindHolder finds who listens on the TCP address addr or on a wider or narrower one
// that stands in its way. False when nobody does, or nobody that /proc shows us.
func FindHolder(addr string) (Holder, bool) { return findHolder(addr, "tcp") }

// findHolder is FindHolder for a transport, "tcp" or "udp".
func findHolder(addr, transport string) (Holder, bool) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return Holder{}, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return Holder{}, false
	}
	want, _ := netip.ParseAddr(host)
	inodes := map[string]bool{}
	for _, suffix := range []string{"", "6"} {
		listening("/proc/self/net/"+transport+suffix, want, uint16(n), inodes)
	}
	if len(inodes) == 0 {
		return Holder{}, false
	}
	return owner(inodes)
}

// listening adds the inodes of sockets in file that listen on port at an
// address that collides with want.
func listening(file string, want netip.Addr, port uint16, inodes map[string]bool) {
	_ = scan(file, func(at, _ netip.AddrPort, state, inode string) { // what /proc does not show is nobody's
		bound := state == stateListen || strings.Contains(file, "/udp")
		if bound && at.Port() == port && collide(want, at.Addr()) {
			inodes[inode] = true
		}
	})
}

// collide says whether two listeners stand in each other's way: the same
// address, or one of them a wildcard. An invalid want is every address.
func collide(want, at netip.Addr) bool {
	if !want.IsValid() || want.IsUnspecified() || at.IsUnspecified() {
		return true
	}
	return want.Unmap() == at.Unmap()
}

// owner finds the process that has one of the sockets open.
func owner(inodes map[string]bool) (Holder, bool) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		if !opens(proc, inodes) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(proc))
		comm, _ := os.ReadFile(filepath.Join(proc, "comm"))
		h := Holder{PID: pid, Command: strings.TrimSpace(string(comm))}
		if h.Command == "docker-proxy" {
			h.Docker = dockerTarget(proc)
		}
		return h, true
	}
	return Holder{}, false
}

func opens(proc string, inodes map[string]bool) bool {
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil { // gone, or not ours to read
		return false
	}
	for _, fd := range fds {
		to, err := os.Readlink(filepath.Join(proc, "fd", fd.Name()))
		if err != nil {
			continue
		}
		if inode, ok := strings.CutPrefix(to, "socket:["); ok && inodes[strings.TrimSuffix(inode, "]")] {
			return true
		}
	}
	return false
}

// dockerTarget reads the container's address off docker-proxy's arguments.
func dockerTarget(proc string) string {
	b, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
	var ip, port string
	args := bytes.Split(b, []byte{0})
	for i := 0; i+1 < len(args); i++ {
		switch string(args[i]) {
		case "-container-ip":
			ip = string(args[i+1])
		case "-container-port":
			port = string(args[i+1])
		}
	}
	if ip == "" {
		return "an address it does not tell"
	}
	return net.JoinHostPort(ip, port)
}
