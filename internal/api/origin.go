package api

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"gesalpai.ch/steady"
)

// maxOrigin bounds what a caller may say of itself, in bytes.
const maxOrigin = 32 << 10

type peerKey struct{}

// ConnContext is for http.Server: it notes which process is at the other end of a
// connection, as the kernel has it (SO_PEERCRED): that cannot be forged.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *syscall.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil || failed != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, steady.Peer{UID: int(cred.Uid), PID: int(cred.Pid)})
}

// originOf is who sent a request: what it says of itself, and what the kernel says.
func originOf(r *http.Request) steady.Origin {
	var o steady.Origin
	if says := r.Header.Get(originHeader); len(says) <= maxOrigin {
		_ = json.Unmarshal([]byte(says), &o) // who says nothing that can be read says nothing
	}
	o.Peer = nil
	if p, ok := r.Context().Value(peerKey{}).(steady.Peer); ok {
		p.User = userName(p.UID)
		p.Login = login(p.PID)
		o.Peer = &p
	}
	return o
}

func userName(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return ""
	}
	return u.Username
}

// login is who logged in to the session that a process belongs to, which sudo and
// su leave as it is; empty where the kernel was not told.
func login(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/loginuid")
	if err != nil {
		return ""
	}
	uid, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil || uid == 1<<32-1 { // nobody logged in: a service, or a container
		return ""
	}
	return userName(int(uid))
}

// From makes a client that tells the daemon who asks.
func (c *Client) From(o steady.Origin) *Client {
	b, err := json.Marshal(o)
	if err == nil {
		c.origin = string(b)
	}
	return c
}
