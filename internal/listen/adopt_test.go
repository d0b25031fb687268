package listen_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"gesalpai.ch/steady/internal/listen"
)

// TestAdopt_ConnectionsGoElsewhereUntilTheChainIsEmpty redirects on this machine:
// a port of loopback that nobody else has.
func TestAdopt_ConnectionsGoElsewhereUntilTheChainIsEmpty(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	const chain = "STEADY-TEST"
	t.Cleanup(func() {
		if err := listen.Adopt(context.Background(), chain, nil); err != nil {
			t.Error(err)
		}
	})
	old, next := word(t, "old"), word(t, "next")
	if got := hear(t, old); got != "old" {
		t.Fatalf("%q", got)
	}
	to := []listen.Redirection{{Host: "127.0.0.1", Port: uint16(old.Port), To: uint16(next.Port)}}
	for range 2 { // twice is as once
		if err := listen.Adopt(t.Context(), chain, to); err != nil {
			t.Fatal(err)
		}
		if got := hear(t, old); got != "next" {
			t.Errorf("redirected: %q", got)
		}
	}
	if err := listen.Adopt(t.Context(), chain, nil); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, old); got != "old" {
		t.Errorf("after the redirect: %q", got)
	}
	out, err := exec.Command("iptables", "-w", "5", "-t", "nat", "-S").CombinedOutput()
	if err != nil || strings.Contains(string(out), chain) {
		t.Errorf("%v: the chain is left\n%s", err, out)
	}
}

// word is a listener that says a word to each connection.
func word(t *testing.T, w string) *net.TCPAddr {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
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
			fmt.Fprintln(c, w)
			c.Close()
		}
	}()
	return ln.Addr().(*net.TCPAddr)
}

func hear(t *testing.T, at *net.TCPAddr) string {
	t.Helper()
	c, err := net.DialTCP("tcp4", nil, at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var w string
	if _, err := fmt.Fscanln(c, &w); err != nil {
		t.Fatal(err)
	}
	return w
}
