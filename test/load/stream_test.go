package load_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gesalpai.ch/steady/test/load"
)

func TestStreams_AnOrderlyCloseIsNoCut(t *testing.T) {
	for _, name := range []string{"ws", "sse"} {
		a := newApp(t, nil)
		o := only(name, a.URL)
		o.Duration = time.Minute
		running := load.Start(o)
		until(t, "4 streams", func() bool { return running.Counts().Sent == 4 })
		open := time.Now()
		until(t, "some messages", func() bool { return time.Since(open) > 200*time.Millisecond })
		close(a.quit)
		until(t, "streams opened again", func() bool { return running.Counts().Sent >= 8 })
		r := running.Stop()
		s := summary(t, r, name)
		if !r.Clean() || s.Streams.Closed < 4 || s.Streams.Cut != 0 || s.Streams.Messages < 4 {
			t.Errorf("%s: %+v\n%s", name, s.Streams, r)
		}
	}
}

func TestStreams_AnEndWithoutCloseIsACut(t *testing.T) {
	for _, name := range []string{"ws", "sse"} {
		a := newApp(t, nil)
		o := only(name, a.URL)
		o.Duration = time.Minute
		running := load.Start(o)
		until(t, "4 streams", func() bool { return running.Counts().Sent == 4 })
		open := time.Now()
		until(t, "some messages", func() bool { return time.Since(open) > 200*time.Millisecond })
		if name == "sse" {
			a.CloseClientConnections()
		}
		if name == "ws" {
			close(a.cut)
		}
		until(t, "4 streams cut", func() bool { return running.Counts().Cut >= 4 })
		r := running.Stop()
		if r.Clean() || r.Lost() != 0 || summary(t, r, name).Streams.Cut < 4 {
			t.Errorf("%s:\n%s", name, r)
		}
	}
}

func TestStreams_AnEndInTheMiddleOfAnEventIsACut(t *testing.T) {
	a := newApp(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: whole\n\ndata: half\n")
			w.(http.Flusher).Flush()
		})
	})
	lostOnly(t, load.Run(t.Context(), only("sse", a.URL)), load.Cut)
}

func TestStreams_AMissingEventIsWrong(t *testing.T) {
	a := newApp(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "id: 1\n\nid: 2\n\nid: 4\n\n")
			w.(http.Flusher).Flush()
		})
	})
	lostOnly(t, load.Run(t.Context(), only("sse", a.URL)), load.Wrong)
}

func TestStreams_ADoubledEchoIsWrong(t *testing.T) {
	a := newApp(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			for {
				kind, text, err := c.Read(t.Context())
				if err != nil {
					return
				}
				c.Write(t.Context(), kind, text)
				c.Write(t.Context(), kind, text)
			}
		})
	})
	lostOnly(t, load.Run(t.Context(), only("ws", a.URL)), load.Wrong)
}

func TestStreams_ARefusedUpgradeIsLost(t *testing.T) {
	a := newApp(t, func(http.Handler) http.Handler { return http.NotFoundHandler() })
	lostOnly(t, load.Run(t.Context(), only("ws", a.URL)), load.Status)
	lostOnly(t, load.Run(t.Context(), only("sse", a.URL)), load.Status)
}

func TestStreams_ASilentOneIsCutAfterTheTimeout(t *testing.T) {
	a := newApp(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
	})
	o := only("sse", a.URL)
	o.Timeout = 200 * time.Millisecond
	lostOnly(t, load.Run(t.Context(), o), load.Cut)
}

func TestStreams_NameTheirReleaseInTheFirstMessage(t *testing.T) {
	a := newApp(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {\"release\":42}\n\n")
			w.(http.Flusher).Flush()
		})
	})
	for _, e := range load.Run(t.Context(), only("sse", a.URL)).Ends() {
		if e.Release != 42 {
			t.Errorf("release %d, want 42", e.Release)
		}
	}
}
