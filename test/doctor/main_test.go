// Package doctor runs `steady doctor`, the real binary, on a real Engine and a real
// nginx with real broken things.
package doctor

import (
	"archive/tar"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"testing"
	"time"
)

// Made once for all tests: the binary, and an image with a shell.
var (
	binary string
	shell  = fmt.Sprintf("doctor-shell:%d", os.Getpid())
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "hdo")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	flag.Parse()
	if testing.Short() {
		return m.Run()
	}
	binary = filepath.Join(dir, "steady")
	build := exec.CommandContext(ctx, "go", "build", "-race", "-o", binary, "gesalpai.ch/steady/cmd/steady")
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, said)
		return 1
	}
	if err := importShell(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer dropShell()
	return m.Run()
}

// importShell makes an image of Debian's static busybox.
func importShell(ctx context.Context) error {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("read busybox: %w; install it: scripts/packages.sh busybox-static", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	entries := []tar.Header{
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))},
	}
	for _, name := range []string{"sh", "sleep", "dd", "httpd", "true", "false", "echo"} {
		entries = append(entries, tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"})
	}
	for _, h := range entries {
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		if h.Size > 0 {
			if _, err := w.Write(program); err != nil {
				return err
			}
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "docker", "import", "-", shell)
	cmd.Stdin = &b
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("docker import: %w\n%s", err, said)
	}
	return nil
}

func dropShell() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if said, err := exec.CommandContext(ctx, "docker", "image", "rm", "-f", shell).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "docker image rm: %v\n%s", err, said)
	}
}
