package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// What has waited comes to a replica in batches that grow: its socket has no room for
// all at once.
func TestUDP_DatagramsThatWaitedAreSentInBatches(t *testing.T) {
	replica, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	conn, err := net.Dial("udp", replica.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d := &datagrams{flows: map[sender]*udpFlow{}}
	from := sender{from: netip.MustParseAddrPort("127.0.0.1:1")}
	d.flows[from] = &udpFlow{door: d, sender: from, upstream: &upstream{}, conn: conn.(*net.UDPConn)}
	const many = 200
	for i := range many {
		d.held.add(datagram{sender: from, bytes: fmt.Append(nil, i)})
	}
	for batch, left := 1, many; left > 0; batch++ {
		left = max(0, left-batch*heldBatch)
		d.release()
		d.release() // too soon
		if len(d.held.all) != left {
			t.Fatalf("%d wait after batch %d, want %d", len(d.held.all), batch, left)
		}
		d.held.sent = time.Now().Add(-heldEvery)
	}
	b := make([]byte, 16)
	for i := range many {
		if n, _, err := replica.ReadFrom(b); err != nil || string(b[:n]) != fmt.Sprint(i) {
			t.Fatalf("datagram %d is %q, %v", i, b[:n], err)
		}
	}
}
