package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Within listens on port, v4 and v6, in the network namespace of process pid.
// The error is EADDRINUSE's where somebody listens there already, and
// os.ErrNotExist's where the process has gone.
func Within(ctx context.Context, pid int, port uint16) (*net.TCPListener, error) {
	var ln net.Listener
	err := within(pid, func() error {
		var lc net.ListenConfig
		var err error
		addr := ":" + strconv.Itoa(int(port))
		if ln, err = lc.Listen(ctx, "tcp", addr); errors.Is(err, unix.EAFNOSUPPORT) {
			ln, err = lc.Listen(ctx, "tcp4", addr)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in the network of process %d: %w", pid, err)
	}
	return ln.(*net.TCPListener), nil
}

// within runs do in the network namespace of process pid, on a thread that is
// thrown away afterwards: it is never unlocked, so the runtime ends it. All but
// the main thread, which it only parks, and whose namespace /proc/self shows.
func within(pid int, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			done <- within(pid, do) // on another thread, as this one is taken
			runtime.UnlockOSThread()
			return
		}
		done <- enter(pid, do)
	}()
	return <-done
}

func enter(pid int, do func() error) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace: %w", err)
	}
	return do()
}
