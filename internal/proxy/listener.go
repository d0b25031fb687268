package proxy

import (
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a listening socket of ours. Others may have copies of its descriptor:
// whoever keeps them for the proxy after this one.
type socket struct {
	*net.TCPListener
	left atomic.Bool // nobody shall listen on it any more, copies or not
}

// rest stops accepting. What comes afterwards waits where somebody has a copy,
// and is refused where nobody has.
func (s *socket) rest() { _ = s.SetDeadline(time.Now().Add(backlogTime)) }

// leave stops accepting for good: connections are refused from then on.
func (s *socket) leave() {
	s.left.Store(true)
	s.rest()
}

// end closes it, when accepting has ended. Closing one descriptor alone would
// leave clients waiting in the backlog of a copy for ever, so one that was left is
// shut down: the kernel then answers as if nobody had listened.
func (s *socket) end() {
	if s.left.Load() {
		s.control(func(fd int) { _ = unix.Shutdown(fd, unix.SHUT_RDWR) })
	}
	_ = s.Close()
}

// same says whether both are descriptors of one socket.
func (s *socket) same(other *socket) bool {
	mine, its := s.inode(), other.inode()
	return mine != 0 && mine == its
}

func (s *socket) inode() uint64 {
	var st unix.Stat_t
	s.control(func(fd int) { _ = unix.Fstat(fd, &st) })
	return st.Ino
}

func (s *socket) control(f func(fd int)) {
	if raw, err := s.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}
