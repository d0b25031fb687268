package listen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// A message is two bytes, the length of the name in network order, then the name;
// the descriptor travels with the first byte (SCM_RIGHTS, unix(7)).
const (
	lengthBytes = 2
	maxName     = 1024 // bytes

	// spare is how many descriptors one read has room for: all but one are junk, and
	// are seen and closed here.
	spare = 8
)

// Send passes h over c, a stream. h.File stays the caller's. One Send at a time.
func Send(c *net.UnixConn, h Handle) error {
	if h.Name == "" || len(h.Name) > maxName || h.File == nil {
		return fmt.Errorf("send %q: a handle is a descriptor and a name of 1 to %d bytes", h.Name, maxName)
	}
	raw, err := h.File.SyscallConn()
	if err != nil {
		return fmt.Errorf("send %s: %w", h.Name, err)
	}
	msg := append(binary.BigEndian.AppendUint16(nil, uint16(len(h.Name))), h.Name...)
	var n int
	var sent error
	err = raw.Control(func(fd uintptr) { // not Fd(): it may make the socket blocking for all who have it
		n, _, sent = c.WriteMsgUnix(msg, unix.UnixRights(int(fd)), nil)
	})
	if err == nil {
		err = sent
	}
	if err == nil && n < len(msg) {
		_, err = c.Write(msg[n:])
	}
	if err != nil {
		return fmt.Errorf("send %s: %w", h.Name, err)
	}
	return nil
}

// Receive takes the next handle from c; io.EOF when the other side closed after
// the last one. Any other error leaves c without a sense: close it. What was
// received with an error is closed.
func Receive(c *net.UnixConn) (Handle, error) {
	var fds []int
	name, err := receive(c, &fds)
	if err == nil && len(fds) != 1 {
		err = fmt.Errorf("receive %s: %d descriptors instead of one", name, len(fds))
	}
	if err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return Handle{}, err
	}
	return Handle{Name: name, File: os.NewFile(uintptr(fds[0]), name)}, nil
}

// receive reads one message and not a byte more, as what follows comes with a
// descriptor of its own.
func receive(c *net.UnixConn, fds *[]int) (name string, err error) {
	var length [lengthBytes]byte
	if err := readFull(c, length[:], fds); err == io.EOF {
		return "", io.EOF
	} else if err != nil {
		return "", fmt.Errorf("receive a handle: %w", err)
	}
	n := binary.BigEndian.Uint16(length[:])
	if n == 0 || n > maxName {
		return "", fmt.Errorf("receive a handle: a name of %d bytes", n)
	}
	b := make([]byte, n)
	if err := readFull(c, b, fds); err == io.EOF {
		return "", fmt.Errorf("receive a handle: %w", io.ErrUnexpectedEOF)
	} else if err != nil {
		return "", fmt.Errorf("receive a handle: %w", err)
	}
	return string(b), nil
}

// readFull fills b and adds what descriptors come with it; io.EOF before the first byte.
func readFull(c *net.UnixConn, b []byte, fds *[]int) error {
	oob := make([]byte, unix.CmsgSpace(4*spare))
	for got := 0; got < len(b); {
		n, oobn, flags, _, err := c.ReadMsgUnix(b[got:], oob) // net asks for CLOEXEC
		if err := collect(oob[:oobn], fds); err != nil {
			return err
		}
		switch {
		case errors.Is(err, io.EOF) || err == nil && n == 0:
			if got > 0 {
				return io.ErrUnexpectedEOF
			}
			return io.EOF
		case err != nil:
			return err
		case flags&unix.MSG_CTRUNC != 0:
			return errors.New("more descriptors than can be received")
		}
		got += n
	}
	return nil
}

// collect adds the descriptors of a control message to fds.
func collect(oob []byte, fds *[]int) error {
	if len(oob) == 0 {
		return nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("control message: %w", err)
	}
	for _, m := range msgs {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
			continue // credentials, which nobody asked for
		}
		got, err := unix.ParseUnixRights(&m)
		if err != nil {
			return fmt.Errorf("control message: %w", err)
		}
		*fds = append(*fds, got...)
	}
	return nil
}
