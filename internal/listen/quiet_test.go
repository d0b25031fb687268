package listen_test

import (
	"bufio"
	"fmt"
	"testing"
	"time"

	"gesalpai.ch/steady/internal/listen"
)

// TestQuiet_AConnectionIsQuietOnceItsQuestionIsAnswered: connections that others have open
// to a container are looked at in its network, where nothing of ours carries them.
func TestQuiet_AConnectionIsQuietOnceItsQuestionIsAnswered(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	const silent = 50 * time.Millisecond
	client, server := newHost(t, "qc"), newHost(t, "qs")
	bridge(t, client, server)
	ln, err := listen.Within(t.Context(), server.pid, 7000)
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan struct{})
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					<-answer
					fmt.Fprintln(c, lines.Text())
				}
			}()
		}
	}()
	t.Cleanup(func() { ln.Close() })
	quiet := func(want int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; {
			n, err := listen.Quiet(t.Context(), server.pid, silent)
			if err == nil && n == want {
				return
			}
			if err != nil || time.Now().After(end) {
				t.Fatalf("%d are quiet, want %d; %v", n, want, err)
			}
		}
	}
	idle, asking := callTCP(t, client, "10.78.0.2:7000"), callTCP(t, client, "10.78.0.2:7000")
	quiet(2)
	fmt.Fprintln(asking, "a question")
	quiet(1)
	for began := time.Now(); time.Since(began) < 4*silent; {
		if n, err := listen.Quiet(t.Context(), server.pid, silent); n != 1 || err != nil {
			t.Fatalf("%d are quiet with a question under way, %v", n, err)
		}
	}
	close(answer)
	quiet(2)
	idle.Close()
	quiet(1)
	asking.Close()
	quiet(0)
}
