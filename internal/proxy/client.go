package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"gesalpai.ch/steady"
)

// Client drives a proxy through its control socket. It may be used by several
// goroutines. Every method returns steady.ErrNoProxy when no proxy answers, and
// the proxy's own errors with their code.
type Client struct {
	http   *http.Client
	socket string
}

// NewClient makes a client for the proxy at socket. It connects when called.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	// A connection per call: the proxy may have been replaced since the last.
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Ping asks whether a proxy answers, and gives its process id.
func (c *Client) Ping(ctx context.Context) (pid int, err error) {
	var p ping
	err = c.call(ctx, http.MethodGet, "/v1/ping", nil, &p)
	return p.PID, err
}

// Table gives the table in force, as it was given to Serve.
func (c *Client) Table(ctx context.Context) (steady.Table, error) {
	var t steady.Table
	err := c.call(ctx, http.MethodGet, "/v1/table", nil, &t)
	return t, err
}

// Socket is the path of the proxy's control socket.
func (c *Client) Socket() string { return c.socket }

// Serve puts the whole table in force, on disk and then in one move. When it
// returns nil, no new request goes to an upstream that the table does not list.
// On error nothing has changed: steady.ErrPortTaken naming who listens there,
// steady.ErrStore when the table file cannot be written, steady.ErrUsage for a
// table that contradicts itself or is not newer than the one in force. When ctx
// ends meanwhile, or the proxy dies, the table may be in force or not: Table
// tells.
func (c *Client) Serve(ctx context.Context, t steady.Table) error {
	return c.call(ctx, http.MethodPut, "/v1/table", t, nil)
}

// Mend is Serve for a table that decides nothing new, but says where the replicas
// of the same routes are now. It is in force even where the table file cannot be
// written; the proxy then tries to write it again every second.
func (c *Client) Mend(ctx context.Context, t steady.Table) error {
	return c.call(ctx, http.MethodPut, "/v1/table?mend=1", t, nil)
}

// Free says whether the listeners could be opened, or are the proxy's already;
// else steady.ErrPortTaken naming who listens there.
func (c *Client) Free(ctx context.Context, listeners []steady.Listener) error {
	return c.call(ctx, http.MethodPost, "/v1/free", listeners, nil)
}

// Drain waits until nothing is in flight at the containers named by ids, in all
// pools, and closes the idle connections kept to them. The table in force must
// not list them any more (steady.ErrUsage). What outlives its clock is ended: 0
// is at once, below 0 never. A container nothing is known of is quiet. When ctx
// ends, the wait ends and nothing is cut.
func (c *Client) Drain(ctx context.Context, ids []string, clocks steady.Drain) (steady.Drained, error) {
	var d steady.Drained
	err := c.call(ctx, http.MethodPost, "/v1/drain", drainRequest{IDs: ids, Clocks: clocks}, &d)
	return d, err
}

// Clear waits until what was in flight in those pools when their maintenance began
// has ended, each kind with its clock as in Drain. What the maintenance lets
// through is left alone, and so is all once it is over. When ctx ends, the wait
// ends and the clocks go on.
func (c *Client) Clear(ctx context.Context, pools []string, clocks steady.Drain) (steady.Drained, error) {
	var d steady.Drained
	err := c.call(ctx, http.MethodPost, "/v1/clear", clearRequest{Pools: pools, Clocks: clocks}, &d)
	return d, err
}

// Renew keeps the gates of those services, "shop/db", shut for another lease, also
// where it had lapsed, and gives those that are shut by the table in force.
func (c *Client) Renew(ctx context.Context, services []string) ([]string, error) {
	var shut []string
	err := c.call(ctx, http.MethodPost, "/v1/hold", services, &shut)
	return shut, err
}

// Traffic gives the counts since the proxy began.
func (c *Client) Traffic(ctx context.Context) (steady.Traffic, error) {
	var t steady.Traffic
	err := c.call(ctx, http.MethodGet, "/v1/traffic", nil, &t)
	return t, err
}

// Certificates tells what became of the certificates of the table in force.
func (c *Client) Certificates(ctx context.Context) ([]steady.CertificateStatus, error) {
	var s []steady.CertificateStatus
	err := c.call(ctx, http.MethodGet, "/v1/certificates", nil, &s)
	return s, err
}

// Flows gives what is measured of every release that takes traffic, or has within
// the last hour. Release 0 is what found no upstream.
func (c *Client) Flows(ctx context.Context) (steady.Flows, error) {
	var f steady.Flows
	err := c.call(ctx, http.MethodGet, "/v1/flows", nil, &f)
	return f, err
}

// FlowsOf gives what Flows does of one service, "shop/api", by release.
func (c *Client) FlowsOf(ctx context.Context, service string) (map[int]steady.Flow, error) {
	var f steady.Flows
	err := c.call(ctx, http.MethodGet, "/v1/flows?service="+url.QueryEscape(service), nil, &f)
	return f[service], err
}

// Status tells what the proxy does right now: bound ports, what is in flight.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return fmt.Errorf("encode request to proxy: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://proxy"+path, &body)
	if err != nil {
		return fmt.Errorf("make request to proxy: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return noProxy(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		e := &steady.Error{}
		if res.StatusCode == http.StatusNotFound { // no answer of the proxy's own
			return outdated("it does not answer " + method + " " + path)
		}
		if err := json.NewDecoder(res.Body).Decode(e); err != nil {
			return fmt.Errorf("proxy answered %s: %w", res.Status, err)
		}
		return e
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return noProxy(ctx, err)
	}
	return nil
}

// noProxy tells a proxy that is not there from a caller who stopped waiting.
func noProxy(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return steady.ErrNoProxy.With("the proxy does not answer: "+err.Error(), "start it: steady proxy")
}
