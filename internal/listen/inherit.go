package listen

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The protocol of sd_listen_fds(3).
const (
	listenPID   = "LISTEN_PID"
	listenFDs   = "LISTEN_FDS"
	listenNames = "LISTEN_FDNAMES"
	firstFD     = 3
)

// Bequeath gives hs to the process that cmd starts, where Inherited finds them.
// They are its first descriptors, so files already in cmd.ExtraFiles move up by
// len(hs). The files stay the caller's, open until Start returned. LISTEN_PID is
// not set, as nobody knows it before the start: a process that inherits must
// not hand its environment on to children of its own unchanged.
func Bequeath(cmd *exec.Cmd, hs []Handle) {
	files := make([]*os.File, len(hs))
	names := make([]string, len(hs))
	for i, h := range hs {
		files[i] = h.File
		names[i] = url.QueryEscape(h.Name) // systemd's separator is ':'
	}
	cmd.ExtraFiles = append(files, cmd.ExtraFiles...)
	env := slices.DeleteFunc(cmd.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return key == listenPID || key == listenFDs || key == listenNames
	})
	cmd.Env = append(env, listenFDs+"="+strconv.Itoa(len(hs)), listenNames+"="+strings.Join(names, ":"))
}

// Inherited are the descriptors that the parent, or systemd, gave to this process,
// by the environment that it started with; none where LISTEN_PID says that they
// were another's. They need not be listeners. Each is closed at an exec from now on.
// Call it once: a handle owns its descriptor.
func Inherited(environ []string) ([]Handle, error) {
	env := map[string]string{}
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		env[key] = value
	}
	if env[listenFDs] == "" || env[listenPID] != "" && env[listenPID] != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.ParseUint(env[listenFDs], 10, 16)
	if err != nil {
		return nil, fmt.Errorf("inherited descriptors: %s: %w", listenFDs, err)
	}
	names, err := inheritedNames(env[listenNames], int(n))
	if err != nil {
		return nil, err
	}
	for i, name := range names { // all of them before any is owned
		if _, err := unix.FcntlInt(uintptr(firstFD+i), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("inherited descriptor %d, %s: %w", firstFD+i, name, err)
		}
	}
	var hs []Handle
	for i, name := range names {
		hs = append(hs, Handle{Name: name, File: os.NewFile(uintptr(firstFD+i), name)})
	}
	return hs, nil
}

// inheritedNames are n names; "unknown", as systemd calls them, where none are said.
func inheritedNames(list string, n int) ([]string, error) {
	if list == "" {
		return slices.Repeat([]string{"unknown"}, n), nil
	}
	names := strings.Split(list, ":")
	if len(names) != n {
		return nil, fmt.Errorf("inherited descriptors: %d names for %d", len(names), n)
	}
	for i, name := range names {
		if plain, err := url.QueryUnescape(name); err == nil { // else a name of systemd's own
			names[i] = plain
		}
	}
	return names, nil
}
