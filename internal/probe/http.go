package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"gesalpai.ch/steady"
)

// drainUpTo is how much of an answer's body is read, so that the app can write it
// in peace. A body of unknown length may be endless and is not waited for.
const drainUpTo = 64 << 10

// askHTTP returns the question of an HTTP probe. Each is on a connection of its
// own: one that was kept would be answered by a process that no longer accepts.
// Redirects are answers; they are not followed.
func (a *attempt) askHTTP() (func(context.Context) (answer, error), error) {
	path := "/" + strings.TrimPrefix(a.probe.Path, "/")
	told, _, _ := strings.Cut(path, "?") // a query may hold a token
	scheme := cmp.Or(a.probe.Scheme, "http")
	req, err := http.NewRequest(cmp.Or(a.probe.Method, http.MethodGet), scheme+"://"+a.addr()+path, nil)
	if err != nil {
		return nil, steady.ErrUsage.With(fmt.Sprintf("the probe of %s cannot be asked: %v", a.name, err), "")
	}
	// The name a healthcheck in the container would use: apps that check the Host
	// header allow it sooner than an address.
	req.Host = net.JoinHostPort("localhost", a.port())
	req.Header.Set("User-Agent", "steady-probe")
	for name, value := range a.probe.Header {
		if strings.EqualFold(name, "Host") {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	transport := &http.Transport{
		DialContext:       a.dial,
		DisableKeepAlives: true,
		// The question is whether it serves; who it is was said by its address.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"},
	}
	return func(ctx context.Context) (answer, error) {
		resp, err := transport.RoundTrip(req.Clone(ctx))
		if err != nil {
			return a.silent(err, "on "+told), nil
		}
		defer resp.Body.Close()
		if resp.ContentLength >= 0 {
			_, _ = io.CopyN(io.Discard, resp.Body, drainUpTo)
		}
		if !a.expected(resp.StatusCode) {
			return answer{text: fmt.Sprintf("answered %d on %s", resp.StatusCode, told)}, nil
		}
		return answer{good: true, text: fmt.Sprintf("%d %s", resp.StatusCode, told)}, nil
	}, nil
}

func (a *attempt) expected(status int) bool {
	if len(a.probe.Expect) == 0 {
		return status >= 200 && status < 400
	}
	return slices.Contains(a.probe.Expect, status)
}

// askTCP is the question of a TCP probe: is a connection accepted?
func (a *attempt) askTCP(ctx context.Context) (answer, error) {
	conn, err := a.dial(ctx, "tcp", a.addr())
	if err != nil {
		return a.silent(err, "on port "+a.port()), nil
	}
	_ = conn.Close() // nothing was said on it
	return answer{good: true, text: "port " + a.port()}, nil
}

// refused begins the text of an answer that tells a state rather than an event.
const refused = "refused connections"

// lasting says whether the answer tells a state, which lasts, rather than an event,
// which is counted.
func (ans answer) lasting() bool {
	return strings.HasPrefix(ans.text, refused) || strings.HasPrefix(ans.text, stayed)
}

// silent tells why there was no answer at the place that was asked.
func (a *attempt) silent(err error, place string) answer {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return answer{text: refused + " on port " + a.port()}
	case errors.As(err, &timeout) && timeout.Timeout():
		return answer{text: fmt.Sprintf("did not answer %s within %s", place, short(a.probe.Timeout))}
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return answer{text: fmt.Sprintf("closed the connection %s without an answer", place)}
	}
	return answer{text: fmt.Sprintf("gave no answer %s: %v", place, err)}
}

// addr is where the replica is asked, port its part after the colon.
func (a *attempt) addr() string {
	host, _ := Address(a.replica)
	return net.JoinHostPort(host, a.port())
}

func (a *attempt) port() string {
	switch {
	case a.probe.Port > 0:
		return strconv.Itoa(int(a.probe.Port))
	case a.probe.Scheme == "https":
		return "443"
	}
	return "80"
}
