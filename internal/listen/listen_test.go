package listen_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"gesalpai.ch/steady/internal/listen"
)

func TestTCP_NamesTheProcessThatListens(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	if os.Getenv("LISTEN_TEST_CHILD") != "" {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("at %d\n", ln.Addr().(*net.TCPAddr).Port)
		os.Stdin.Read(make([]byte, 1)) // until the parent goes
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestTCP_NamesTheProcessThatListens$")
	cmd.Env = append(os.Environ(), "LISTEN_TEST_CHILD=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscanf(line, "at %d", &port); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"", "127.0.0.1", "0.0.0.0"} {
		addr := fmt.Sprintf("%s:%d", host, port)
		_, err := listen.TCP(t.Context(), addr)
		var taken *listen.TakenError
		if !errors.As(err, &taken) || taken.Holder.PID != cmd.Process.Pid || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: %v", addr, err)
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("listen.test (pid %d)", cmd.Process.Pid)) {
			t.Errorf("%s: %q does not name it", addr, err)
		}
	}
	if err := listen.Free(t.Context(), fmt.Sprintf("127.0.0.2:%d", port)); err != nil {
		t.Errorf("another address: %v", err)
	}
}

func TestTCP_AddressesAreTheFamiliesTheySay(t *testing.T) {
	for host, want := range map[string][]string{
		"": {"127.0.0.1", "::1"}, "0.0.0.0": {"127.0.0.1"}, "127.0.0.1": {"127.0.0.1"}, "[::]": {"::1"}, "[::1]": {"::1"},
	} {
		ln, err := listen.TCP(t.Context(), host+":0")
		if err != nil {
			t.Fatalf("%q: %v", host, err)
		}
		var got []string
		for _, at := range []string{"127.0.0.1", "::1"} {
			c, err := net.Dial("tcp", net.JoinHostPort(at, fmt.Sprint(listen.Port(ln))))
			if err == nil {
				got = append(got, at)
				c.Close()
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%q is reached at %v, want %v", host, got, want)
		}
		ln.Close()
	}
}

func TestTCP_AddressThatIsNotHereIsNotCalledTaken(t *testing.T) {
	_, err := listen.TCP(t.Context(), "192.0.2.1:0")
	var taken *listen.TakenError
	if err == nil || errors.As(err, &taken) {
		t.Errorf("%v", err)
	}
}

func TestFindHolder_OfNobody(t *testing.T) {
	ln, err := listen.TCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if h, ok := listen.FindHolder(addr); !ok || h.PID != os.Getpid() {
		t.Errorf("ourselves: %+v", h)
	}
	ln.Close()
	if h, ok := listen.FindHolder(addr); ok {
		t.Errorf("nobody: %+v", h)
	}
	for h, want := range map[listen.Holder]string{
		{}:                         "another process",
		{PID: 7, Command: "nginx"}: "nginx (pid 7)",
		{PID: 7, Command: "docker-proxy", Docker: "172.18.0.3:8000"}: "a Docker container at 172.18.0.3:8000 (docker-proxy, pid 7)",
	} {
		if got := h.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
