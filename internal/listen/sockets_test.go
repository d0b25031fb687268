package listen_test

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"gesalpai.ch/steady/internal/listen"
)

func TestSockets_ListsWhatListensWithItsAddress(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	every, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer every.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	conn, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	got, err := listen.Sockets(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	is := func(addr net.Addr, udp bool) func(listen.Socket) bool {
		want := netip.MustParseAddrPort(addr.String())
		return func(s listen.Socket) bool {
			same := s.Addr.Addr() == want.Addr() || s.Addr.Addr().IsUnspecified() && want.Addr().IsUnspecified()
			return s.UDP == udp && s.Addr.Port() == want.Port() && same
		}
	}
	for what, found := range map[string]bool{
		"tcp on loopback":        slices.ContainsFunc(got, is(tcp.Addr(), false)),
		"tcp on every address":   slices.ContainsFunc(got, is(every.Addr(), false)),
		"udp":                    slices.ContainsFunc(got, is(udp.LocalAddr(), true)),
		"no open tcp connection": !slices.ContainsFunc(got, is(conn.LocalAddr(), false)),
	} {
		if !found {
			t.Errorf("%s: not so in %v", what, got)
		}
	}
	if _, err := listen.Sockets(1 << 30); err == nil {
		t.Error("the sockets of a process that is not there were listed")
	}
}
