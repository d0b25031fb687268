package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// hears wants a client that sends a large body to be able to send all of it, to read
// the whole answer, and then the end. A reset would take the answer with it: net/http
// closes at once where the client says Connection: close and the body is unread (seen:
// 3 of 53,152 requests).
func (r *rig) hears(what string, status int) {
	r.t.Helper()
	for _, more := range []string{"", "Connection: close\r\n"} {
		for _, size := range []int{70 << 10, 8 << 20} {
			c, sent := r.dial(), make(chan error, 1)
			go func() {
				_, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n", more, size)
				if err == nil {
					_, err = c.Write(make([]byte, size))
				}
				sent <- err
			}()
			res := c.response()
			if _, err := io.ReadAll(res.Body); err != nil || res.StatusCode != status {
				r.t.Errorf("%s, %d bytes, %q: %s, %v", what, size, more, res.Status, err)
			}
			if err := <-sent; err != nil {
				r.t.Errorf("%s, %d bytes, %q: send: %v", what, size, more, err)
			}
			if !res.Close {
				continue
			}
			if _, err := c.r.ReadByte(); err != io.EOF {
				r.t.Errorf("%s, %d bytes, %q: the end is %v", what, size, more, err)
			}
		}
	}
}

func TestHTTP_WhoIsRefusedIsHeardOut(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, upstreamAt("gone", 1, freeAddr(t)))
	r.hears("nobody answers", http.StatusBadGateway)
	r.serve(steady.HTTP, backend(t, "a", 2, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })))
	r.hears("the app does not want it", http.StatusUnauthorized)
	r.serve(steady.HTTP)
	r.hears("no upstream", http.StatusServiceUnavailable)
	r.holds(steady.HTTP, gateFor(0, time.Minute))
	r.hears("no room at the gate", http.StatusServiceUnavailable)
	r.holds(steady.HTTP, gateFor(1, 20*time.Millisecond))
	r.hears("waited for too long", http.StatusServiceUnavailable)
	tab := r.table(steady.HTTP)
	m := steady.Maintenance{Project: "shop", RetryAfter: time.Minute}
	tab.Pools[0].Maintenance, tab.Maintenance = m.Ref(), []steady.Maintenance{m}
	if err := r.client.Serve(t.Context(), tab); err != nil {
		t.Fatal(err)
	}
	r.hears("maintenance", http.StatusServiceUnavailable)
	h := newHosts(t)
	h.force(h.listener(to("api.test", "/", "api")))
	h.hears("no such host", http.StatusNotFound)
}

// Who stops in the middle of a body is heard for a while, and then the connection ends:
// also where the way to the app still waits for the rest.
func TestHTTP_WhoFallsSilentIsNotHeardForEver(t *testing.T) {
	t.Parallel()
	r := newRig(t, steady.HTTP, proxy.Limits{}, tcpBackend(t, "a", 1, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
			io.Copy(io.Discard, c)
		}
	}))
	c := r.dial()
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nbegun")
	if res := c.response(); res.StatusCode != http.StatusUnauthorized {
		t.Error(res.Status)
	}
	eventually(t, "nothing is in flight, as the exchange is over", func() bool { return r.inFlight() == 0 })
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
}
