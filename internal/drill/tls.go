package drill

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

// Secure has the target asked over TLS, with what conf says, nil for what the system
// trusts; over HTTP/2 a connection a lane.
func (t *Target) Secure(conf *tls.Config, http2 bool) {
	t.TLS = &tls.Config{}
	if conf != nil {
		t.TLS = conf.Clone()
	}
	if t.TLS.ServerName == "" {
		host, _, err := net.SplitHostPort(t.Host)
		if err != nil {
			host = t.Host
		}
		t.TLS.ServerName = host
	}
	if !http2 {
		t.TLS.NextProtos = []string{"http/1.1"}
		return
	}
	d := net.Dialer{Timeout: t.Timeout}
	t.HTTP2 = &http.Transport{
		TLSClientConfig: t.TLS, TLSHandshakeTimeout: t.Timeout, DialContext: d.DialContext,
		DisableCompression: true, Protocols: new(http.Protocols),
	}
	t.HTTP2.Protocols.SetHTTP2(true)
}

// shakeHands begins TLS on a connection, which it closes on error.
func shakeHands(tcp *net.TCPConn, t Target) (net.Conn, error) {
	c := tls.Client(tcp, t.TLS)
	ctx, cancel := context.WithTimeout(context.Background(), t.Timeout)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		_ = tcp.Close()
		return nil, err
	}
	return c, nil
}

// callHTTP2 is call over HTTP/2: one connection of the lane's, on which nothing is
// sent twice.
func (l *Lane) callHTTP2(t Target, x *Exchange) (resp Response, sent time.Time, lost *Fault) {
	if l.h2 != nil && (l.h2.Err() != nil || l.h2.Available() == 0) { // closed, or GOAWAY
		l.seen.Unusable(Ended)
		l.HangUp()
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.Timeout)
	defer cancel()
	if l.h2 == nil {
		cc, err := t.HTTP2.NewClientConn(ctx, "https", t.Addr)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return resp, sent, &Fault{Refused, err}
		case err != nil:
			return resp, sent, &Fault{Connect, err}
		}
		l.seen.Opened()
		l.h2 = cc
	}
	req, err := x.request(ctx, t)
	if err != nil {
		return resp, sent, &Fault{Write, err}
	}
	sent = time.Now()
	res, err := l.h2.RoundTrip(req)
	if err != nil {
		l.HangUp()
		return resp, sent, &Fault{FirstByte, err}
	}
	resp.Status, resp.ID = res.StatusCode, res.Header.Get("X-Request-Id")
	resp.Release, _ = strconv.Atoi(res.Header.Get("X-Release"))
	resp.Body, err = io.ReadAll(io.LimitReader(res.Body, maxBody))
	_ = res.Body.Close()
	if err != nil {
		lost = &Fault{Body, err}
	}
	if lost != nil || x.Fresh {
		l.HangUp()
	}
	return resp, sent, lost
}

// request is the exchange as net/http knows it, without the means to send it twice.
func (x *Exchange) request(ctx context.Context, t Target) (*http.Request, error) {
	var body io.Reader
	if x.Body != nil {
		body = io.NopCloser(bytes.NewReader(x.Body))
	}
	req, err := http.NewRequestWithContext(ctx, x.method(), "https://"+t.Addr+t.Prefix+x.Path, body)
	if err != nil {
		return nil, err
	}
	if !x.Chunked {
		req.ContentLength = int64(len(x.Body))
	}
	for _, h := range x.Header {
		req.Header.Add(h.Name, h.Value)
	}
	req.Host = t.Host
	req.Header.Set("User-Agent", t.Agent)
	req.Header.Set("X-Request-Id", x.ID)
	return req, nil
}
