package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"gesalpai.ch/steady/test/inner"
)

// patience is how long one connect, one greeting or one datagram may take.
const patience = 2 * time.Second

// lookup resolves names as a program of the container would.
func lookup(ctx context.Context, names []string) map[string]inner.Found {
	out := map[string]inner.Found{}
	for _, name := range names {
		// The Engine asks the host's resolvers for a name it does not know.
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var f inner.Found
		addrs, err := net.DefaultResolver.LookupHost(ctx, name)
		f.Addrs = addrs
		if err != nil {
			f.Err = err.Error()
		}
		out[name] = f
	}
	return out
}

func dialAll(ctx context.Context, addrs []string) map[string]inner.Dialed {
	out := map[string]inner.Dialed{}
	for _, addr := range addrs {
		began := time.Now()
		d := dialed(inner.Open(ctx, addr, patience))
		d.Took = time.Since(began)
		out[addr] = d
	}
	return out
}

// dialed names what came of a connect, in errno's words.
func dialed(s *inner.Session, err error) inner.Dialed {
	var timeout net.Error
	switch {
	case err == nil:
		s.Close()
		return inner.Dialed{How: inner.Greeted, Release: s.Release}
	case errors.Is(err, syscall.ECONNREFUSED):
		return inner.Dialed{How: inner.Refused}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return inner.Dialed{How: inner.Reset}
	case errors.As(err, &timeout) && timeout.Timeout():
		return inner.Dialed{How: inner.Silent, Err: err.Error()}
	}
	return inner.Dialed{How: inner.Otherwise, Err: err.Error()}
}

// datagram sends one and awaits its answer.
func datagram(ctx context.Context, addrs []string) (string, error) {
	if len(addrs) != 1 {
		return "", errors.New("udp: one address")
	}
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "udp", addrs[0])
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprint(c, "hello"); err != nil {
		return "", err
	}
	b := make([]byte, 1024)
	n, err := c.Read(b)
	return string(b[:n]), err
}
