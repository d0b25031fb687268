package proxy_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// udpBackend answers each datagram with its own and its name; a datagram "wait" is
// answered once answer is closed.
func udpBackend(t *testing.T, name string, release int, answer <-chan struct{}) steady.Upstream {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if string(b[:n]) == "wait" {
				<-answer // that it has come
				<-answer
			}
			_, _ = c.WriteTo([]byte(string(b[:n])+" "+name), from)
		}
	}()
	return upstreamAt(name, release, c.LocalAddr().String())
}

// servesUDP puts a table in force that publishes the pool over UDP too.
func (r *rig) servesUDP(change func(*steady.Table), us ...steady.Upstream) {
	r.t.Helper()
	t := r.table(steady.TCP, us...)
	t.UDP = []steady.Listener{{Host: "127.0.0.1", Protocol: steady.UDP, Pool: poolName}}
	if change != nil {
		change(&t)
	}
	if err := r.client.Serve(context.Background(), t); err != nil {
		r.t.Fatalf("serve: %v", err)
	}
}

// sends opens a socket towards the rig's UDP address.
func (r *rig) sends() net.Conn {
	r.t.Helper()
	c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", r.status().UDP[0].Bound))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	return c
}

func say(t *testing.T, c net.Conn, word string) {
	t.Helper()
	if _, err := c.Write([]byte(word)); err != nil {
		t.Fatal(err)
	}
}

func listenTo(t *testing.T, c net.Conn) string {
	t.Helper()
	b := make([]byte, 2048)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestUDP_AFlowStaysUntilTheDrainAndFreshOnesGoToTheNewRelease(t *testing.T) {
	answer := make(chan struct{})
	old, next := udpBackend(t, "old", 1, answer), udpBackend(t, "next", 2, nil)
	r := newRig(t, steady.TCP, proxy.Limits{}, old)
	r.servesUDP(nil, old)
	kept := r.sends()
	say(t, kept, "a")
	if got := listenTo(t, kept); got != "a old" {
		t.Errorf("%q", got)
	}
	r.servesUDP(nil, next)
	fresh := r.sends()
	say(t, fresh, "b")
	if got := listenTo(t, fresh); got != "b next" {
		t.Errorf("a fresh flow after the shift: %q", got)
	}
	say(t, kept, "wait")
	answer <- struct{}{} // its answer is under way when the clock runs out
	drained := make(chan steady.Drained, 1)
	go func() {
		d, err := r.client.Drain(context.Background(), []string{old.ID}, steady.Drain{Streams: 0, Quiet: time.Minute})
		if err != nil {
			t.Error(err)
		}
		drained <- d
	}()
	select {
	case d := <-drained:
		t.Errorf("the drain did not wait for the answer: %+v", d)
	case <-time.After(300 * time.Millisecond):
	}
	close(answer)
	if got := listenTo(t, kept); got != "wait old" {
		t.Errorf("the answer under way: %q", got)
	}
	if d := <-drained; d.Flows != 1 || d.FlowsMoved != 1 {
		t.Errorf("drained %+v, want one flow that was moved", d)
	}
	say(t, kept, "c")
	if got := listenTo(t, kept); got != "c next" {
		t.Errorf("after the drain: %q", got)
	}
}

func TestUDP_DatagramsWaitInOrderAtAShutGate(t *testing.T) {
	old, next := udpBackend(t, "old", 1, nil), udpBackend(t, "next", 2, nil)
	r := newRig(t, steady.TCP, proxy.Limits{}, old)
	r.servesUDP(nil, old)
	kept, fresh := r.sends(), r.sends()
	say(t, kept, "a")
	listenTo(t, kept)
	r.servesUDP(func(t *steady.Table) { t.Pools[0].Hold = gateFor(1000, time.Minute) })
	if _, err := r.client.Drain(t.Context(), []string{old.ID}, steady.Drain{}); err != nil {
		t.Fatal(err)
	}
	const many = 200
	for i := range many {
		say(t, fresh, fmt.Sprint(i))
		if i%50 == 0 { // no faster than it is read
			time.Sleep(5 * time.Millisecond)
		}
	}
	say(t, kept, "kept")
	r.servesUDP(nil, next)
	for i := range many {
		if got := listenTo(t, fresh); got != fmt.Sprintf("%d next", i) {
			t.Fatalf("answer %d is %q", i, got)
		}
	}
	if got := listenTo(t, kept); got != "kept next" {
		t.Errorf("%q", got)
	}
}

func TestUDP_OneSenderHasOneReplicaAndATrialHasNone(t *testing.T) {
	a, b := udpBackend(t, "a", 1, nil), udpBackend(t, "b", 2, nil)
	r := newRig(t, steady.TCP, proxy.Limits{}, a, b)
	r.servesUDP(nil, a, b)
	first := ""
	for range 8 {
		c := r.sends()
		say(t, c, "x")
		got := listenTo(t, c)
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("one sender was answered by %q and by %q", first, got)
		}
	}
	r.servesUDP(func(t *steady.Table) { t.Pools[0].Split = &steady.Split{Release: 2, Percent: 100} }, a, b)
	c := r.sends()
	say(t, c, "x")
	if got := listenTo(t, c); got != "x a" {
		t.Errorf("with release 2 on trial: %q", got)
	}
}

func TestUDP_TheNextProxyHasTheSameSocketAndAPortThatIsTakenIsNamed(t *testing.T) {
	a := udpBackend(t, "a", 1, nil)
	r := newRig(t, steady.TCP, proxy.Limits{}, a)
	r.servesUDP(nil, a)
	c := r.sends()
	copies, err := r.client.Listeners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	say(t, c, "meanwhile") // it waits in the socket that the copy keeps
	r.options.Inherited = copies
	r.start()
	if got := listenTo(t, c); got != "meanwhile a" {
		t.Errorf("%q", got)
	}
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	l := steady.Listener{Host: "127.0.0.1", Port: uint16(taken.LocalAddr().(*net.UDPAddr).Port), Protocol: steady.UDP, Pool: poolName}
	err = r.client.Free(t.Context(), []steady.Listener{l})
	if want := fmt.Sprintf("port %d/udp: 127.0.0.1:%d/udp is taken by ", l.Port, l.Port); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
