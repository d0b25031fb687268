package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"time"

	"gesalpai.ch/steady"
)

// Client asks a daemon over its unix socket. It is a Backend whose errors are
// *steady.Error: steady.ErrNoDaemon when nobody answers, else what the daemon's
// own Backend said; or the context's error when ctx ended. It is safe for use by
// several goroutines.
type Client struct {
	socket string
	http   *http.Client
	origin string // steady.Origin of whoever asks, as JSON

	patience time.Duration // how long an event stream waits for the daemon to come back
	silence  time.Duration // how long a stream may be without even a heartbeat
}

// NewClient makes a client of the daemon at socket. It connects when it is first
// asked something.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{
		socket:   socket,
		http:     &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true, DisableKeepAlives: true}},
		patience: 30 * time.Second,
		silence:  4 * heartbeat,
	}
}

// call sends one request and decodes its answer.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var out T
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end, nothing is lost
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, c.broken(ctx, err)
	}
	return out, nil
}

// send gives the daemon's answer when it is a success; its body is the caller's
// to close.
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	payload, err := encode(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://steady"+path, payload)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if c.origin != "" {
		req.Header.Set(originHeader, c.origin)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end, nothing is lost
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	return nil, readError(resp.Status, answer)
}

func encode(body any) (io.Reader, error) {
	if body == nil {
		return http.NoBody, nil
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return bytes.NewReader(b), nil
}

// broken says why there was no answer: the caller left, nobody listens, or the
// daemon went away in between.
func (c *Client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" {
		return steady.ErrNoDaemon.With("the daemon went away before it had answered", "steady status")
	}
	if errors.Is(err, fs.ErrPermission) {
		return steady.ErrNoDaemon.With("no permission to open "+c.socket, "sudo steady …, or become the user that runs the daemon")
	}
	return steady.ErrNoDaemon.With("no steady daemon answers on "+c.socket, "steady daemon")
}
