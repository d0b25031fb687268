package listen

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// States of /proc/net/tcp and /proc/net/udp (net/tcp_states.h). A UDP socket that is
// bound and not connected is in state CLOSE.
const (
	stateEstablished = "01"
	stateClose       = "07"
	stateListen      = "0A"
)

// Socket is a TCP socket that listens, or a UDP socket that is bound.
type Socket struct {
	Addr netip.AddrPort // 0.0.0.0 or :: is every address
	UDP  bool
}

// Sockets lists the sockets that accept something in the network namespace of
// process pid, without entering it.
func Sockets(pid int) ([]Socket, error) {
	var out []Socket
	for _, kind := range []struct {
		file, state string
		udp         bool
	}{{"tcp", stateListen, false}, {"tcp6", stateListen, false}, {"udp", stateClose, true}, {"udp6", stateClose, true}} {
		err := scan(fmt.Sprintf("/proc/%d/net/%s", pid, kind.file), func(local, _ netip.AddrPort, state, _ string) {
			if state == kind.state {
				out = append(out, Socket{Addr: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), UDP: kind.udp})
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list the sockets of process %d: %w", pid, err)
		}
	}
	return out, nil
}

// scan says the sockets that stand in a file of proc_net_tcp(5). That a kernel without
// IPv6 has no such file is no error.
func scan(file string, say func(local, peer netip.AddrPort, state, inode string)) error {
	f, err := os.Open(file)
	if os.IsNotExist(err) && strings.HasSuffix(file, "6") {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		if len(field) < 10 {
			continue
		}
		local, ok := parseAddr(field[1])
		peer, also := parseAddr(field[2])
		if ok && also { // else it is the head
			say(local, peer, field[3], field[9])
		}
	}
	return lines.Err()
}

// parseAddr reads "0100007F:1F90": an address in 32-bit words of host order
// (little-endian wherever steady runs), a port in plain hex; see proc_net_tcp(5).
func parseAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	if !ok {
		return netip.AddrPort{}, false
	}
	b, err := hex.DecodeString(host)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i]
	}
	ip, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(ip, uint16(n)), err == nil
}
