package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// An answer that begins while the body is still on its way must come whole, and
// so must the body: net/http's server closes the body at the answer's first
// byte unless told not to, and the transport that still reads it then breaks the
// answer off (seen: 3 of 7,298 uploads above 64 KiB).
func TestHTTP_AnswerThatBeginsBeforeTheBodyHasEndedComesWhole(t *testing.T) {
	half := bytes.Repeat([]byte("h"), 100<<10)
	answering := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		first := make([]byte, len(half))
		if _, err := io.ReadFull(r.Body, first); err != nil {
			t.Errorf("first half: %v", err)
		}
		_, _ = w.Write(first)
		_ = http.NewResponseController(w).Flush()
		close(answering)
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Errorf("second half: %v", err)
		}
	})
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, h))
	c := r.dial()
	c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 2*len(half), half))
	within(t, "the answer begins", answering)
	res := c.response()
	c.send(string(half))
	got, err := io.ReadAll(res.Body)
	if err != nil || len(got) != 2*len(half) {
		t.Errorf("%d bytes of %d came, %v", len(got), 2*len(half), err)
	}
}
