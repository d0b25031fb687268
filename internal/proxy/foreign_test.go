package proxy_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// foreignListener is another process that listens on all addresses.
func foreignListener(t *testing.T) (pid int, port uint16) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestForeignListener$")
	cmd.Env = append(os.Environ(), "STEADY_TEST_LISTEN=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	} else if _, err := fmt.Sscanf(line, "port %d", &port); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, port
}

// TestForeignListener is that process; run by itself it does nothing.
func TestForeignListener(t *testing.T) {
	if os.Getenv("STEADY_TEST_LISTEN") == "" {
		return
	}
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("port %d\n", ln.Addr().(*net.TCPAddr).Port)
	os.Stdin.Read(make([]byte, 1)) // until the parent goes
}

// fullDisk is a small file system of its own.
func fullDisk(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs root: make test runs it")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatalf("mount a small tmpfs (root is needed): %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func fillUp(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return
		}
	}
}
