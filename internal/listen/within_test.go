package listen_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gesalpai.ch/steady/internal/listen"
)

// host is a network namespace of the test's own, held by a process.
type host struct {
	name string
	pid  int
}

func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

func newHost(t *testing.T, name string) host {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	name = fmt.Sprintf("%s%d", name, os.Getpid())
	run(t, "ip", "netns", "add", name)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	run(t, "ip", "-n", name, "link", "set", "lo", "up")
	cmd := exec.Command("ip", "netns", "exec", name, "cat") // lives as long as its input
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	h := host{name: name, pid: cmd.Process.Pid}
	mine, _ := os.Readlink("/proc/self/ns/net")
	for end := time.Now().Add(5 * time.Second); ; { // until ip has entered it
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", h.pid)); err == nil && ns != mine {
			return h
		}
		if time.Now().After(end) {
			t.Fatal("the process did not enter its namespace")
		}
	}
}

// wire connects two hosts by a cable of their own, 10.77.<n>.1 and .2.
func wire(t *testing.T, n int, a, b host) {
	t.Helper()
	va, vb := fmt.Sprintf("va%d", n), fmt.Sprintf("vb%d", n)
	run(t, "ip", "-n", a.name, "link", "add", va, "type", "veth", "peer", "name", vb, "netns", b.name)
	for i, end := range []struct {
		h   host
		dev string
	}{{a, va}, {b, vb}} {
		run(t, "ip", "-n", end.h.name, "addr", "add", fmt.Sprintf("10.77.%d.%d/24", n, i+1), "dev", end.dev)
		run(t, "ip", "-n", end.h.name, "link", "set", end.dev, "up")
	}
}

// ask connects from a host and reads what the listener says: the address meant.
func ask(h host, to string) string {
	host, port, _ := net.SplitHostPort(to)
	script := fmt.Sprintf("exec 3<>/dev/tcp/%s/%s && cat <&3", host, port)
	out, err := exec.Command("ip", "netns", "exec", h.name, "timeout", "2", "bash", "-c", script).Output()
	if err != nil {
		return "nothing"
	}
	return strings.TrimSpace(string(out))
}

func TestRedirect_EveryPortComesToTheListenerAndNothingCrosses(t *testing.T) {
	holder, client, other := newHost(t, "ho"), newHost(t, "cl"), newHost(t, "ot")
	wire(t, 1, client, holder) // the holder is 10.77.1.2 for the client
	wire(t, 2, other, holder)  // and 10.77.2.2 for the other
	run(t, "ip", "-n", client.name, "route", "add", "10.77.2.0/24", "via", "10.77.1.2")
	ln, err := listen.Within(t.Context(), holder.pid, 15001)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			meant, err := listen.OriginalDst(c)
			fmt.Fprintln(c, meant, err)
			c.Close()
		}
	}()
	defer func() { ln.Close(); <-done }()
	for range 2 { // twice is as once
		if err := listen.Redirect(t.Context(), holder.pid, 15001); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		from host
		to   string
		want string
	}{
		{client, "10.77.1.2:6379", "10.77.1.2:6379 <nil>"},
		{client, "10.77.1.2:80", "10.77.1.2:80 <nil>"},
		{other, "10.77.2.2:4222", "10.77.2.2:4222 <nil>"},
		{client, "10.77.2.2:4222", "nothing"},  // by its own interface, for another's address
		{client, "10.77.2.2:15001", "nothing"}, // the listener itself
	} {
		if got := ask(tt.from, tt.to); got != tt.want {
			t.Errorf("from %s to %s: %q, want %q", tt.from.name, tt.to, got, tt.want)
		}
	}
	inside(t, holder, func() error {
		if b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal"); err != nil || string(b) != "1\n" {
			t.Errorf("late packets are taken for strangers': %q, %v", b, err)
		}
		return nil
	})
	wire(t, 3, client, holder) // a network that comes later
	if err := listen.Redirect(t.Context(), holder.pid, 15001); err != nil {
		t.Fatal(err)
	}
	if got := ask(client, "10.77.3.2:81"); got != "10.77.3.2:81 <nil>" {
		t.Errorf("later network: %q", got)
	}
}

func TestWithin_ProcessThatHasGone(t *testing.T) {
	if _, err := listen.Within(t.Context(), 1<<30, 15001); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestHandles_CrossASocketAndSurviveTheirSender(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	a, b := socketPair(t)
	for _, name := range []string{"tcp::80", "holder:shop/api"} {
		if err := listen.Send(a, listen.Handle{Name: name, File: f}); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	f.Close()
	ln.Close() // the sender is gone altogether
	var got []string
	for {
		h, err := listen.Receive(b)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.Name)
		serves(t, h)
	}
	if strings.Join(got, " ") != "tcp::80 holder:shop/api" {
		t.Errorf("received %v", got)
	}
}

// serves checks that the handle's socket still accepts.
func serves(t *testing.T, h listen.Handle) {
	t.Helper()
	defer h.File.Close()
	ln, err := listen.FromFile(h.File)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
}

func TestReceive_JunkIsRefused(t *testing.T) {
	a, b := socketPair(t)
	if _, err := a.Write([]byte("\xff\xffjunk")); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if _, err := listen.Receive(b); err == nil || err == io.EOF {
		t.Errorf("error %v", err)
	}
}

func socketPair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	ln, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); d.Close() })
	return c.(*net.UnixConn), d.(*net.UnixConn)
}

// TestBequeath_AChildAcceptsWhatWaited: the parent's listener is closed before
// the child accepts, and the connection has waited in the backlog.
func TestBequeath_AChildAcceptsWhatWaited(t *testing.T) {
	if os.Getenv("LISTEN_TEST_CHILD") != "" {
		heir(t)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestBequeath_AChildAcceptsWhatWaited$")
	cmd.Env = append(os.Environ(), "LISTEN_TEST_CHILD=1")
	listen.Bequeath(cmd, []listen.Handle{{Name: "tcp:127.0.0.1:80", File: f}})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ln.Close()
	f.Close()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "tcp:127.0.0.1:80" {
		t.Errorf("%q, %v", got, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func heir(t *testing.T) {
	hs, err := listen.Inherited(os.Environ())
	if err != nil || len(hs) != 1 {
		t.Fatalf("%s handles, %v", strconv.Itoa(len(hs)), err)
	}
	ln, err := listen.FromFile(hs[0].File)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, hs[0].Name)
}

func TestForward_FlowsMoveToWhatIsListed(t *testing.T) {
	holder, client := newHost(t, "ho"), newHost(t, "cl")
	one, two := newHost(t, "on"), newHost(t, "tw")
	wire(t, 1, client, holder)
	wire(t, 2, one, holder)
	wire(t, 3, two, holder)
	for _, h := range []host{one, two} { // the way back is the holder
		run(t, "ip", "-n", h.name, "route", "add", "default", "dev", strings.TrimPrefix(map[bool]string{true: "va2", false: "va3"}[h == one], ""))
	}
	if err := listen.Redirect(t.Context(), holder.pid, 15001); err != nil {
		t.Fatal(err)
	}
	answer(t, one, "one")
	answer(t, two, "two")
	own := netip.MustParseAddr("10.77.1.2")
	c := dialFrom(t, client, "10.77.1.2:5353")
	for _, tt := range []struct{ replica, want string }{{"10.77.2.1", "one"}, {"10.77.3.1", "two"}, {"10.77.2.1", "one"}} {
		to := map[netip.Addr][]netip.Addr{own: {netip.MustParseAddr(tt.replica)}}
		if err := listen.Forward(t.Context(), holder.pid, to); err != nil {
			t.Fatal(err)
		}
		if got := say(t, c); got != tt.want {
			t.Errorf("to %s: %q answered, want %q", tt.replica, got, tt.want)
		}
	}
}

// answer answers every packet on the host's UDP port 5353 with a word.
func answer(t *testing.T, h host, word string) {
	t.Helper()
	var pc net.PacketConn
	inside(t, h, func() (err error) {
		pc, err = net.ListenPacket("udp4", ":5353")
		return err
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64)
		for {
			_, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo([]byte(word), from)
		}
	}()
	t.Cleanup(func() { pc.Close(); <-done })
}

func dialFrom(t *testing.T, h host, addr string) net.Conn {
	t.Helper()
	var c net.Conn
	inside(t, h, func() (err error) {
		c, err = net.Dial("udp4", addr)
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// inside opens a socket in the host's namespace, as the package itself does.
func inside(t *testing.T, h host, do func() error) {
	t.Helper()
	if err := listen.Inside(t.Context(), h.pid, do); err != nil {
		t.Fatal(err)
	}
}

// say sends a packet until an answer comes: it is UDP.
func say(t *testing.T, c net.Conn) string {
	t.Helper()
	buf := make([]byte, 64)
	for range 20 {
		if _, err := c.Write([]byte("?")); err != nil {
			continue
		}
		_ = c.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
		if n, err := c.Read(buf); err == nil {
			return string(buf[:n])
		}
	}
	return "nothing"
}

// bridge wires hosts to one network, 10.78.0.<n>, n from 1.
func bridge(t *testing.T, hosts ...host) {
	t.Helper()
	hub := newHost(t, "hub")
	run(t, "ip", "-n", hub.name, "link", "add", "br0", "type", "bridge")
	run(t, "ip", "-n", hub.name, "link", "set", "br0", "up")
	for i, h := range hosts {
		port := fmt.Sprintf("p%d", i)
		run(t, "ip", "-n", hub.name, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", h.name)
		run(t, "ip", "-n", hub.name, "link", "set", port, "master", "br0", "up")
		run(t, "ip", "-n", h.name, "addr", "add", fmt.Sprintf("10.78.0.%d/24", i+1), "dev", "eth0")
		run(t, "ip", "-n", h.name, "link", "set", "eth0", "up")
	}
}

// TestForward_OnOneNetwork: client, holder and replicas are neighbours, as in a
// Compose project, and the client spoke before anybody was listed.
func TestForward_OnOneNetwork(t *testing.T) {
	client, holder, one, two := newHost(t, "cl"), newHost(t, "ho"), newHost(t, "on"), newHost(t, "tw")
	bridge(t, client, holder, one, two)
	if err := listen.Redirect(t.Context(), holder.pid, 15001); err != nil {
		t.Fatal(err)
	}
	answer(t, one, "one")
	answer(t, two, "two")
	own := netip.MustParseAddr("10.78.0.2")
	c := dialFrom(t, client, "10.78.0.2:5353")
	if err := listen.Forward(t.Context(), holder.pid, map[netip.Addr][]netip.Addr{own: nil}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("?")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ replica, want string }{{"10.78.0.3", "one"}, {"10.78.0.4", "two"}, {"10.78.0.3", "one"}} {
		to := map[netip.Addr][]netip.Addr{own: {netip.MustParseAddr(tt.replica)}}
		if err := listen.Forward(t.Context(), holder.pid, to); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if got := say(t, c); got != tt.want {
				t.Errorf("to %s: %q answered, want %q", tt.replica, got, tt.want)
			}
		}
	}
}

// echoMeant says to each client of ln which address it meant.
func echoMeant(t *testing.T, ln *net.TCPListener) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			meant, err := listen.OriginalDst(c)
			fmt.Fprintln(c, meant, err)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
}

func TestRedirect_V6FindsItsNeighbourAndKeepsThePort(t *testing.T) {
	holder, client := newHost(t, "ho"), newHost(t, "cl")
	wire(t, 1, client, holder)
	run(t, "ip", "-n", client.name, "addr", "add", "fd77::1/64", "dev", "va1", "nodad")
	run(t, "ip", "-n", holder.name, "addr", "add", "fd77::2/64", "dev", "vb1", "nodad")
	ln, err := listen.Within(t.Context(), holder.pid, 15001)
	if err != nil {
		t.Fatal(err)
	}
	echoMeant(t, ln)
	if err := listen.Redirect(t.Context(), holder.pid, 15001); err != nil {
		t.Fatal(err)
	}
	if got := ask(client, "[fd77::2]:6379"); got != "[fd77::2]:6379 <nil>" {
		t.Errorf("v6: %q", got)
	}
	if got := ask(client, "10.77.1.2:6379"); got != "10.77.1.2:6379 <nil>" {
		t.Errorf("v4: %q", got)
	}
}

func TestRedirect_InterfaceNotYetKnownIsNoWayIn(t *testing.T) {
	holder, client := newHost(t, "ho"), newHost(t, "cl")
	ln, err := listen.Within(t.Context(), holder.pid, 15001)
	if err != nil {
		t.Fatal(err)
	}
	echoMeant(t, ln)
	if err := listen.Redirect(t.Context(), holder.pid, 15001); err != nil {
		t.Fatal(err)
	}
	wire(t, 1, client, holder)
	if got := ask(client, "10.77.1.2:15001"); got != "nothing" {
		t.Errorf("before it is known: %q", got)
	}
}

// TestLend_ChildLeavesTheSocketNonBlocking: a descriptor made blocking in a child
// is so for the parent too, whose accept would then hold a thread.
func TestLend_ChildLeavesTheSocketNonBlocking(t *testing.T) {
	ln, err := listen.TCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	h, err := listen.Lend("a", ln)
	if err != nil {
		t.Fatal(err)
	}
	defer h.File.Close()
	cmd := exec.Command("true")
	listen.Bequeath(cmd, []listen.Handle{h})
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	raw, err := ln.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("flags %#x, %v", flags, err)
		}
	})
}
