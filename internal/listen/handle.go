package listen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Handle is a descriptor under a name.
type Handle struct {
	Name string
	File *os.File
}

// longest is how long a handle's name may be, in bytes.
const longest = 4096

// Send passes h over c: the length of its name and the descriptor
// (SCM_RIGHTS), then the name. h stays the caller's.
func Send(c *net.UnixConn, h Handle) error {
	if len(h.Name) > longest {
		return fmt.Errorf("send descriptor: a name of %d bytes", len(h.Name))
	}
	head := binary.BigEndian.AppendUint16(nil, uint16(len(h.Name)))
	raw, err := h.File.SyscallConn()
	if err != nil {
		return fmt.Errorf("send descriptor %s: %w", h.Name, err)
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		_, _, sent = c.WriteMsgUnix(append(head, h.Name...), unix.UnixRights(int(fd)), nil)
	})
	if err := errors.Join(err, sent); err != nil {
		return fmt.Errorf("send descriptor %s: %w", h.Name, err)
	}
	return nil
}

// Receive takes the next handle from c; the file is the caller's. io.EOF at the
// end.
func Receive(c *net.UnixConn) (Handle, error) {
	head, oob := make([]byte, 2), make([]byte, unix.CmsgSpace(4*8))
	n, oobn, _, _, err := c.ReadMsgUnix(head, oob)
	fds, perr := rights(oob[:oobn])
	h, err := named(c, head, n, errors.Join(err, perr))
	if err != nil || len(fds) != 1 {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		if err == nil {
			err = fmt.Errorf("receive descriptor: %d came with one name", len(fds))
		}
		return Handle{}, err
	}
	unix.CloseOnExec(fds[0])
	h.File = os.NewFile(uintptr(fds[0]), h.Name)
	return h, nil
}

// named reads what follows the first n bytes of a handle's head.
func named(c io.Reader, head []byte, n int, err error) (Handle, error) {
	if n == 0 && (err == nil || errors.Is(err, io.EOF)) {
		return Handle{}, io.EOF
	}
	if err != nil {
		return Handle{}, err
	}
	if _, err := io.ReadFull(c, head[n:]); err != nil {
		return Handle{}, fmt.Errorf("receive descriptor: %w", err)
	}
	size := binary.BigEndian.Uint16(head)
	if size > longest {
		return Handle{}, fmt.Errorf("receive descriptor: a name of %d bytes", size)
	}
	name := make([]byte, size)
	if _, err := io.ReadFull(c, name); err != nil {
		return Handle{}, fmt.Errorf("receive descriptor: %w", err)
	}
	return Handle{Name: string(name)}, nil
}

func rights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("receive descriptor: %w", err)
	}
	var out []int
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return out, fmt.Errorf("receive descriptor: %w", err)
		}
		out = append(out, fds...)
	}
	return out, nil
}

// firstInherited is where inherited descriptors begin (sd_listen_fds(3)).
const firstInherited = 3

// Inherited are the handles that the parent bequeathed to this process, in the
// way of sd_listen_fds(3): LISTEN_FDS tells how many, LISTEN_FDNAMES their names.
// LISTEN_PID is not asked: a parent that is no systemd cannot know it beforehand.
// Names are query-escaped, as systemd's may not hold a colon.
func Inherited(environ []string) ([]Handle, error) {
	vars := map[string]string{}
	for _, e := range environ {
		k, v, _ := strings.Cut(e, "=")
		vars[k] = v
	}
	if vars["LISTEN_FDS"] == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(vars["LISTEN_FDS"])
	names := strings.Split(vars["LISTEN_FDNAMES"], ":")
	if err != nil || n < 0 || n > 0 && n != len(names) {
		return nil, fmt.Errorf("inherit descriptors: LISTEN_FDS=%s with %d names", vars["LISTEN_FDS"], len(names))
	}
	var out []Handle
	for i := range n {
		name, err := url.QueryUnescape(names[i])
		if err != nil {
			return out, fmt.Errorf("inherit descriptors: %w", err)
		}
		unix.CloseOnExec(firstInherited + i)
		out = append(out, Handle{Name: name, File: os.NewFile(uintptr(firstInherited+i), name)})
	}
	return out, nil
}

// Bequeath gives hs to the process that cmd will start; they stay the caller's.
func Bequeath(cmd *exec.Cmd, hs []Handle) {
	if len(hs) == 0 {
		return
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	var names []string
	for _, h := range hs {
		names = append(names, url.QueryEscape(h.Name))
		cmd.ExtraFiles = append(cmd.ExtraFiles, h.File)
	}
	cmd.Env = append(cmd.Env, "LISTEN_FDS="+strconv.Itoa(len(hs)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
}

// FromFile is a listener of its own on the socket of f: closing either leaves
// the other.
func FromFile(f *os.File) (*net.TCPListener, error) {
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", f.Name(), err)
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		ln.Close()
		return nil, fmt.Errorf("listen on %s: it is no TCP socket", f.Name())
	}
	return tcp, nil
}
