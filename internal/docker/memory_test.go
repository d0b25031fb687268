package docker_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"gesalpai.ch/steady/internal/docker"
)

func TestObserve_TellsTheHostsMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a Docker Engine: make test runs it")
	}
	e, err := docker.New(docker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	seen, err := e.Observe(t.Context(), "hhold-nothing", nil)
	if err != nil {
		t.Fatal(err)
	}
	var host unix.Sysinfo_t
	if err := unix.Sysinfo(&host); err != nil {
		t.Fatal(err)
	}
	if total := int64(host.Totalram) * int64(host.Unit); seen.Memory != total {
		t.Errorf("%d bytes, and the machine has %d", seen.Memory, total)
	}
}
