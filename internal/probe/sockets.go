package probe

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// resolver is where the Engine's own name server listens in each container's network
// namespace, on a port of its choice.
var resolver = netip.AddrFrom4([4]byte{127, 0, 0, 11})

// maxPorts bounds how many ports a sentence lists.
const maxPorts = 6

// sockets is what listens in a replica's network namespace.
type sockets struct {
	all   []listen.Socket
	known bool       // false: /proc does not tell, as for a container on another machine
	host  netip.Addr // where the proxy connects to
	whole bool       // the namespace is the host's: others listen there too
}

// socketsOf reads what listens beside the replica's first process.
func (p *Prober) socketsOf(r steady.Replica) sockets {
	s := sockets{whole: r.HostNet}
	if at, ok := Address(r); ok {
		s.host, _ = netip.ParseAddr(at)
	}
	if all, err := p.listening(r.PID, r.ID); err == nil {
		s.all, s.known = all, true
		s.all = slices.DeleteFunc(s.all, func(l listen.Socket) bool { return l.Addr.Addr() == resolver })
	}
	return s
}

// listening reads the sockets of a container's process. The process must be of that
// container as this machine sees it: the Engine's number means nothing elsewhere.
func listening(pid int, id string) ([]listen.Socket, error) {
	of, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return nil, fmt.Errorf("read the cgroup of process %d: %w", pid, err)
	}
	if pid <= 1 || id == "" || !bytes.Contains(of, []byte(id)) {
		return nil, fmt.Errorf("process %d is not of container %s on this machine", pid, id)
	}
	return listen.Sockets(pid)
}

// reachable says whether a connection to the replica's address comes to the socket.
func (s sockets) reachable(l listen.Socket) bool {
	return l.Addr.Addr().IsUnspecified() || l.Addr.Addr() == s.host
}

// open says whether something that can be reached listens on the port.
func (s sockets) open(port uint16, transport string) bool {
	return slices.ContainsFunc(s.all, func(l listen.Socket) bool {
		return l.Addr.Port() == port && l.UDP == (transport == "udp") && s.reachable(l)
	})
}

// why says why nothing accepts at a port: "listens on 127.0.0.1:8000 only", "nothing
// listens on 9999; the container listens on 8000". It is empty where /proc does not
// tell, or something does listen.
func (s sockets) why(port uint16, transport string) string {
	if !s.known || s.open(port, transport) {
		return ""
	}
	var here, elsewhere []string
	for _, l := range s.all {
		switch {
		case l.UDP != (transport == "udp"):
		case l.Addr.Port() == port:
			here = append(here, l.Addr.String())
		case s.reachable(l):
			elsewhere = append(elsewhere, strconv.Itoa(int(l.Addr.Port())))
		default:
			elsewhere = append(elsewhere, l.Addr.String())
		}
	}
	if len(here) > 0 {
		return "it listens on " + listed(here) + " only"
	}
	nothing := fmt.Sprintf("nothing listens on %d", port)
	if transport == "udp" {
		nothing += "/udp"
	}
	switch {
	case s.whole:
		return nothing
	case len(elsewhere) == 0:
		return nothing + ", nor on any other port"
	}
	return nothing + "; the container listens on " + listed(elsewhere)
}

// instead is the only other TCP port that can be reached; 0 where there are several
// or none.
func (s sockets) instead() uint16 {
	var ports []uint16
	for _, l := range s.all {
		if !l.UDP && s.reachable(l) {
			ports = append(ports, l.Addr.Port())
		}
	}
	slices.Sort(ports)
	if ports = slices.Compact(ports); len(ports) != 1 || s.whole {
		return 0
	}
	return ports[0]
}

// listed joins a few, each once.
func listed(all []string) string {
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	all = slices.Compact(all)
	if len(all) > maxPorts {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:maxPorts], ", "), len(all)-maxPorts)
	}
	return strings.Join(all, ", ")
}
