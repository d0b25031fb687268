package listen

import (
	"context"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// States of a TCP socket, as the kernel numbers them.
const (
	tcpEstablished = 1
	tcpListen      = 10
)

// Quiet counts, of the connections that Connected counts, those on which nothing seems to
// be under way: the process was the last to send, all that it sent has been received, it
// has read all that came, and neither side has sent anything for silent. The kernel tells
// times to a few milliseconds, so what was sent and received together counts as answered.
func Quiet(ctx context.Context, pid int, silent time.Duration) (int, error) {
	var sockets []*netlink.InetDiagTCPInfoResp
	err := inNamespace(ctx, pid, func() error {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			of, err := netlink.SocketDiagTCPInfo(family)
			if err != nil {
				return err
			}
			sockets = append(sockets, of...)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("look at the connections of process %d: %w", pid, err)
	}
	listening := map[uint16]bool{}
	for _, s := range sockets {
		if s.InetDiagMsg.State == tcpListen {
			listening[s.InetDiagMsg.ID.SourcePort] = true
		}
	}
	n := 0
	for _, s := range sockets {
		at := s.InetDiagMsg
		if at.State == tcpEstablished && listening[at.ID.SourcePort] && !at.ID.Destination.IsLoopback() && isQuiet(s, silent) {
			n++
		}
	}
	return n, nil
}

func isQuiet(s *netlink.InetDiagTCPInfoResp, silent time.Duration) bool {
	i, least := s.TCPInfo, uint32(silent.Milliseconds())
	return i != nil && s.InetDiagMsg.RQueue == 0 && s.InetDiagMsg.WQueue == 0 &&
		i.Last_data_sent <= i.Last_data_recv && i.Last_data_sent >= least && i.Last_data_recv >= least
}
