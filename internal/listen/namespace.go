package listen

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// inNamespace runs do on a thread in the network namespace of process pid. What do
// opens stays in that namespace. The thread is thrown away after, so nothing else
// of this process ever runs there; see setns(2), which CAP_SYS_ADMIN allows.
//
// do must not use package net: net asks once for all which families and which
// backlog there are, and would remember the answers of a namespace that is not ours.
func inNamespace(ctx context.Context, pid int, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			done <- enter(pid, do) // never unlocked: the thread ends with the goroutine
			return
		}
		// The main thread cannot be thrown away, and /proc/self shows its namespace.
		// Held here, it is not the one that the next goroutine gets.
		defer runtime.UnlockOSThread()
		done <- onAnotherThread(pid, do)
	}()
	return <-done
}

func onAnotherThread(pid int, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- enter(pid, do)
	}()
	return <-done
}

func enter(pid int, do func() error) error {
	path := fmt.Sprintf("/proc/%d/ns/net", pid)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	err = unix.Setns(fd, unix.CLONE_NEWNET)
	unix.Close(fd)
	if err != nil {
		return fmt.Errorf("enter %s: %w", path, err)
	}
	return do()
}
