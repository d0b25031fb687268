// Package e2e runs the real binary on a real Engine under real load.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"testing"
)

// Made once for all tests: the binary as users have it, the same with the race
// detector, and where the repository lies.
var (
	binary string
	raced  string
	repo   string
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := limitTogether(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "steady-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build makes the binary and the reference stack's images.
func build(ctx context.Context, dir string) error {
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	repo = filepath.Dir(filepath.Dir(wd))
	binary, raced = filepath.Join(dir, "steady"), filepath.Join(dir, "steady-raced")
	for _, args := range [][]string{
		{"go", "build", "-o", binary, "./cmd/steady"},
		{"go", "build", "-race", "-o", raced, "./cmd/steady"},
		{"examples/gesalp/build.sh", "v1"},
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = repo
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", args, err, said)
		}
	}
	return nil
}
