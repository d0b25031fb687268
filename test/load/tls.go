package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// secure has the target asked over TLS.
func (t *target) secure(o Options) {
	t.tls = &tls.Config{}
	if o.TLS != nil {
		t.tls = o.TLS.Clone()
	}
	if t.tls.ServerName == "" {
		host, _, err := net.SplitHostPort(t.host)
		if err != nil {
			host = t.host
		}
		t.tls.ServerName = host
	}
	if !o.HTTP2 {
		t.tls.NextProtos = []string{"http/1.1"}
		return
	}
	d := net.Dialer{Timeout: t.timeout}
	t.http2 = &http.Transport{
		TLSClientConfig: t.tls, TLSHandshakeTimeout: t.timeout, DialContext: d.DialContext,
		DisableCompression: true, Protocols: new(http.Protocols),
	}
	t.http2.Protocols.SetHTTP2(true)
}

// shakeHands begins TLS on a connection, which it closes on error.
func shakeHands(tcp *net.TCPConn, t target) (net.Conn, error) {
	c := tls.Client(tcp, t.tls)
	ctx, cancel := context.WithTimeout(context.Background(), t.timeout)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		_ = tcp.Close()
		return nil, err
	}
	return c, nil
}

// callHTTP2 is call over HTTP/2: one connection of the lane's, on which nothing is
// sent twice.
func (l *lane) callHTTP2(t target, x *exchange) (resp response, sent time.Time, lost *fault) {
	if l.h2 != nil && (l.h2.Err() != nil || l.h2.Available() == 0) { // closed, or GOAWAY
		l.t.unusable(ended)
		l.hangUp()
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.timeout)
	defer cancel()
	if l.h2 == nil {
		cc, err := t.http2.NewClientConn(ctx, "https", t.addr)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return resp, sent, &fault{Refused, err}
		case err != nil:
			return resp, sent, &fault{Connect, err}
		}
		l.t.opened()
		l.h2 = cc
	}
	req, err := x.request(ctx, t)
	if err != nil {
		return resp, sent, &fault{Write, err}
	}
	sent = time.Now()
	res, err := l.h2.RoundTrip(req)
	if err != nil {
		l.hangUp()
		return resp, sent, &fault{FirstByte, err}
	}
	resp.status, resp.id = res.StatusCode, res.Header.Get("X-Request-Id")
	resp.release, _ = strconv.Atoi(res.Header.Get("X-Release"))
	resp.body, err = io.ReadAll(io.LimitReader(res.Body, maxBody))
	_ = res.Body.Close()
	if err != nil {
		lost = &fault{Body, err}
	}
	if lost != nil || x.fresh {
		l.hangUp()
	}
	return resp, sent, lost
}

// request is the exchange as net/http knows it, without the means to send it twice.
func (x *exchange) request(ctx context.Context, t target) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if x.body != nil {
		method, body = http.MethodPost, io.NopCloser(bytes.NewReader(x.body))
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+t.addr+t.prefix+x.path, body)
	if err != nil {
		return nil, err
	}
	if !x.chunked {
		req.ContentLength = int64(len(x.body))
	}
	req.Host = t.host
	req.Header.Set("User-Agent", "steady-rig")
	req.Header.Set("X-Request-Id", x.id)
	return req, nil
}
