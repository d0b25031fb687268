package proxy

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// readable waits until c has something to read and says how much that is; io.EOF when
// its other end sends no more.
func readable(c syscall.RawConn) (int64, error) {
	var n int
	var failed error
	err := c.Read(func(fd uintptr) bool {
		if n, failed = waiting(fd); n > 0 || failed != nil {
			return true
		}
		// What was signalled before is not signalled again, so an end is looked for too.
		n, failed = peekOne(fd)
		return n != 0 || failed != nil
	})
	if failed != nil {
		err = failed
	}
	return int64(n), err
}

// unreadIn says whether c has bytes that nobody has read yet.
func unreadIn(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	_ = raw.Control(func(fd uintptr) { n, _ = waiting(fd) })
	return n > 0
}

// peekOne looks for one byte: 0 without an error where nothing has come yet.
func peekOne(fd uintptr) (int, error) {
	var one [1]byte
	for {
		n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, nil
		case err == nil && n == 0:
			return 0, io.EOF
		default:
			return max(n, 0), err
		}
	}
}

// waiting is how many bytes a socket has to read.
func waiting(fd uintptr) (int, error) { return unix.IoctlGetInt(int(fd), unix.SIOCINQ) }

// natsPong is what a NATS client says when its server has asked whether it is there. Idle
// clients say nothing else, and no answer comes.
const natsPong = "PONG\r\n"

// isPong says whether all that c has to read is that.
func isPong(c syscall.RawConn, n int64, from int) bool {
	if from != fromClient || n != int64(len(natsPong)) {
		return false
	}
	var said [len(natsPong)]byte
	_ = c.Control(func(fd uintptr) { _, _, _ = unix.Recvfrom(int(fd), said[:], unix.MSG_PEEK|unix.MSG_DONTWAIT) })
	return string(said[:]) == natsPong
}
