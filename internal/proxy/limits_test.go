package proxy_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

func TestLimits_ClientThatDoesNotReadIsCut(t *testing.T) {
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.CopyN(w, zeros{}, 64<<20) }))
	r := newRig(t, steady.Auto, proxy.Limits{WriteIdle: 200 * time.Millisecond}, u)
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "it is cut", func() bool { return r.counts(1).Left == 1 })
	if n := r.counts(1); n.Lost != 0 {
		t.Errorf("%+v", n)
	}
}

func TestLimits_AnswersAfterAPauseLongerThanWriteIdleGoThrough(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{WriteIdle: 60 * time.Millisecond}, backend(t, "a", 1, says("a")))
	c := r.dial()
	for range 3 {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if b, err := io.ReadAll(c.response().Body); string(b) != "a" {
			t.Fatal(string(b), err)
		}
		expectSilence(t, c, 100*time.Millisecond)
	}
}

func TestLimits_ConnectionsBeyondTheMostWaitAndAreServedLater(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{MaxConns: 2}, backend(t, "a", 1, says("a")))
	first, second, third := r.dial(), r.dial(), r.dial()
	for _, c := range []*conn{first, second} {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		res := c.response()
		io.Copy(io.Discard, res.Body)
	}
	third.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	expectSilence(t, third, 100*time.Millisecond)
	first.Close()
	if res := third.response(); res.StatusCode != 200 {
		t.Error(res.Status)
	}
}

func TestHTTP_ListenerAnswersWhatIsNotHTTPItself(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("a")))
	c := r.dial()
	c.send("this is nonsense\r\n\r\n")
	if res := c.response(); res.StatusCode != http.StatusBadRequest {
		t.Error(res.Status)
	}
}

// What is shorter than HTTP/2's preface is answered when the rest of that is late.
func TestLimits_AShortMalformedHeadIsRefused(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{steady.HTTP, steady.Auto} {
		app := &wireApp{}
		r := newRig(t, protocol, proxy.Limits{ReadHeaderTimeout: time.Second}, tcpBackend(t, "a", 1, app.serve))
		for range 3 { // from then on the app is known to speak HTTP
			if status, _ := r.get("/"); status != http.StatusOK {
				t.Fatal(status)
			}
		}
		app.take()
		var conns []*conn
		for _, head := range []string{"nonsense\r\n\r\n", "get / htt\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n"} {
			c := r.dial()
			c.send(head)
			conns = append(conns, c)
		}
		for _, c := range conns {
			if res := c.response(); res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %s", protocol, res.Status)
			}
		}
		if heads := app.take(); len(heads) > 0 {
			t.Errorf("%s: the app saw %q", protocol, heads)
		}
	}
}
