package listen

import (
	"errors"
	"net"
	"os"
	"os/exec"
)

// Handle is a descriptor under a name.
type Handle struct {
	Name string
	File *os.File
}

// Send passes h over c.
func Send(c *net.UnixConn, h Handle) error { return errors.ErrUnsupported }

// Receive takes the next handle from c; io.EOF at the end.
func Receive(c *net.UnixConn) (Handle, error) { return Handle{}, errors.ErrUnsupported }

// Inherited are the handles that the parent bequeathed to this process.
func Inherited(environ []string) ([]Handle, error) { return nil, errors.ErrUnsupported }

// Bequeath gives hs to the process that cmd starts.
func Bequeath(cmd *exec.Cmd, hs []Handle) {}

// FromFile is a listener of its own on the socket of f.
func FromFile(f *os.File) (*net.TCPListener, error) { return nil, errors.ErrUnsupported }
