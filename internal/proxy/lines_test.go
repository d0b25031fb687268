package proxy

import (
	"net"
	"testing"
	"time"
)

// pair is both ends of a connection.
func pair(t *testing.T) (*line, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLine(c.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); other.Close() })
	return l, other
}

func TestLines_OnlyWhatIsFreshAndAliveIsTaken(t *testing.T) {
	var s lines
	defer s.closeAll()
	good, _ := pair(t)
	closed, far := pair(t)
	chatty, talker := pair(t)
	for _, l := range []*line{good, closed, chatty} {
		s.put(l)
	}
	far.Close()
	talker.Write([]byte("HTTP/1.1 408 Request Timeout\r\n\r\n"))
	deadline := time.Now().Add(5 * time.Second)
	for (closed.alive() || chatty.alive()) && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if got := s.take(time.Minute); got != good {
		t.Errorf("took %p, want %p", got, good)
	}
	good.since = time.Now().Add(-time.Second)
	s.mu.Lock()
	s.idle = append(s.idle, good)
	s.mu.Unlock()
	if got := s.take(500 * time.Millisecond); got != nil {
		t.Error("took one that was idle for too long")
	}
	if got := s.take(time.Minute); got != good {
		t.Error("the old one is lost to those who may use it")
	}
}

func TestLines_IdleOnesAreClosedInTime(t *testing.T) {
	var s lines
	defer s.closeAll()
	l, far := pair(t)
	s.put(l)
	_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
	start := time.Now()
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("still open")
	}
	if took := time.Since(start); took < idleReplayable/2 || took > 3*idleReplayable {
		t.Errorf("closed after %v", took)
	}
}
