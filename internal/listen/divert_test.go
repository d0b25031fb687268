package listen_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"gesalpai.ch/steady/internal/listen"
)

// TestDivert_NewConnectionsGoOnOpenOnesStay: the client keeps calling the old
// one's address.
func TestDivert_NewConnectionsGoOnOpenOnesStay(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	client, old, holder := newHost(t, "cl"), newHost(t, "ol"), newHost(t, "ho")
	bridge(t, client, old, holder)
	echoes(t, old, "old")
	echoes(t, holder, "holder")
	before := callTCP(t, client, "10.78.0.2:7000")
	if got := before.ask(); got != "old" {
		t.Fatalf("%q", got)
	}
	if n, err := listen.Connected(old.pid); err != nil || n != 1 {
		t.Errorf("%d are connected, %v", n, err)
	}
	to := map[netip.Addr]netip.Addr{netip.MustParseAddr("10.78.0.2"): netip.MustParseAddr("10.78.0.3")}
	for range 2 { // twice is as once
		if err := listen.Divert(t.Context(), old.pid, to); err != nil {
			t.Fatal(err)
		}
	}
	if got := callTCP(t, client, "10.78.0.2:7000").ask(); got != "holder" {
		t.Errorf("a new connection: %q", got)
	}
	if got := before.ask(); got != "old" {
		t.Errorf("one from before: %q", got)
	}
	if err := listen.Divert(t.Context(), old.pid, nil); err != nil {
		t.Fatal(err)
	}
	after := callTCP(t, client, "10.78.0.2:7000")
	if got := after.ask(); got != "old" {
		t.Errorf("a new connection once it has ended: %q", got)
	}
	after.Close()
	before.Close()
	for end := time.Now().Add(10 * time.Second); ; {
		n, err := listen.Connected(old.pid)
		if err == nil && n == 0 {
			return
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("%d are connected, %v", n, err)
		}
	}
}

// echoes answers every line on port 7000 of the host with the word.
func echoes(t *testing.T, h host, word string) {
	t.Helper()
	ln, err := listen.Within(t.Context(), h.pid, 7000)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					fmt.Fprintln(c, word)
				}
			}()
		}
	}()
}

type call struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func callTCP(t *testing.T, h host, addr string) call {
	t.Helper()
	var c net.Conn
	inside(t, h, func() (err error) {
		c, err = net.DialTimeout("tcp4", addr, 10*time.Second)
		return err
	})
	t.Cleanup(func() { c.Close() })
	return call{c, t, bufio.NewReader(c)}
}

func (c call) ask() string {
	c.t.Helper()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintln(c, "?")
	var word string
	if _, err := fmt.Fscanln(c.in, &word); err != nil {
		c.t.Fatal(err)
	}
	return word
}
