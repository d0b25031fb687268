package process

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lookEvery is how often a process is looked at where the kernel cannot tell that
// it has ended: before Linux 5.3, or in a sandbox that does not allow pidfd_open(2).
const lookEvery = 100 * time.Millisecond

// Wait returns when the process has ended or the handle is closed. No thread waits
// meanwhile.
func (h *Handle) Wait() {
	if f, err := h.pidfd(); err == nil {
		await(f, h.closed)
		return
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for h.Alive() {
		select {
		case <-tick.C:
		case <-h.closed:
			return
		}
	}
}

// pidfd opens a descriptor that can be polled. The number is the process's own as
// long as the process is alive after that.
func (h *Handle) pidfd() (*os.File, error) {
	fd, err := unix.PidfdOpen(h.of.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.EINVAL) { // before 5.10 it takes no flag
		if fd, err = unix.PidfdOpen(h.of.PID, 0); err == nil {
			err = unix.SetNonblock(fd, true)
		}
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	if !h.Alive() {
		_ = f.Close()
		return nil, ErrEnded
	}
	return f, nil
}

// await waits until the process of a pidfd has ended, or for closed.
func await(f *os.File, closed <-chan struct{}) {
	ended, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		if raw, err := f.SyscallConn(); err == nil {
			_ = raw.Read(exited) // parked in the runtime's poller
		}
	}()
	select {
	case <-ended.Done():
	case <-closed:
	}
	_ = f.Close()
	<-ended.Done()
}

// exited says whether the process of a pidfd has ended.
func exited(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}
