package process_test

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// child is a process that lives until it is ended.
func child(t *testing.T) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var over bool
	end = func() {
		if !over {
			over = true
			_ = in.Close()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(end)
	return cmd.Process.Pid, end
}

func identify(t *testing.T, pid int) steady.Process {
	t.Helper()
	p, err := process.Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOpen_FindsTheSameProcessAndNoOther(t *testing.T) {
	pid, end := child(t)
	p := identify(t, pid)
	if again := identify(t, pid); again != p || p.Started == 0 || p.Boot == "" {
		t.Errorf("%+v, then %+v", p, again)
	}
	h, err := process.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if !h.Alive() {
		t.Error("ended while it lives")
	}
	younger, rebooted := p, p
	younger.Started++
	rebooted.Boot = "b00ted-b00ted"
	for _, other := range []steady.Process{younger, rebooted, {PID: pid}, {}, {Boot: p.Boot, PID: -1}} {
		if _, err := process.Open(other); !errors.Is(err, process.ErrEnded) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	end()
	if h.Alive() {
		t.Error("alive after its end")
	}
	if _, err := process.Open(p); !errors.Is(err, process.ErrEnded) {
		t.Errorf("opened after its end: %v", err)
	}
	if _, err := process.Identify(pid); !errors.Is(err, process.ErrEnded) {
		t.Errorf("identified after its end: %v", err)
	}
}

func TestWait_EndsWithTheProcessOrTheHandle(t *testing.T) {
	for _, how := range []string{"process", "handle"} {
		pid, end := child(t)
		h, err := process.Open(identify(t, pid))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); h.Wait() }()
		select {
		case <-done:
			t.Fatal("it waits for nothing")
		case <-time.After(20 * time.Millisecond):
		}
		if how == "process" {
			end()
			<-done
			h.Close()
		} else {
			h.Close()
			<-done
		}
	}
}

// A process that has ended and that nobody has asked for is nobody's address.
func TestAlive_AZombieIsNot(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	p, err := process.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(10 * time.Second)
	for {
		h, err := process.Open(p)
		if err != nil {
			break
		}
		h.Wait()
		alive := h.Alive()
		h.Close()
		if !alive {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a process that has ended is alive")
		}
	}
}

func TestHas_OnlyAddressesOfItsNetwork(t *testing.T) {
	own, foreign := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.254.253.252")
	p, err := process.Identify(os.Getpid(), own)
	if err != nil || !p.Network {
		t.Fatalf("%+v %v", p, err)
	}
	if p, err := process.Identify(os.Getpid(), own, foreign); err != nil || p.Network {
		t.Errorf("%+v %v", p, err)
	}
	h, err := process.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if !h.Has(own) || !h.Has(netip.MustParseAddr("::ffff:127.0.0.1")) || h.Has(foreign) {
		t.Error("it does not know its addresses")
	}
}

func TestVisible(t *testing.T) {
	if !process.Visible() { // the tests run as root
		t.Error("no process of others is seen")
	}
}

func BenchmarkHas(b *testing.B) {
	p, err := process.Identify(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	h, err := process.Open(p)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	a := netip.MustParseAddr("127.0.0.1")
	for b.Loop() {
		h.Has(a)
	}
}
