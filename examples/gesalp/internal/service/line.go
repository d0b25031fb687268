package service

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
)

// IDHeader is the header whose requests are logged, one line each.
const IDHeader = "X-Request-Id"

// marked puts the release on every answer and writes one line when the answer
// to a request with an id is complete: what a test counts lost, doubled and
// wrongly answered requests by.
func (s *Service) marked(h http.Handler) http.Handler {
	var mu sync.Mutex // a line is written whole
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Release", s.Release)
		id := r.Header.Get(IDHeader)
		if id == "" {
			h.ServeHTTP(w, r)
			return
		}
		seen := &answer{ResponseWriter: w}
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(s.Lines, "id=%s method=%s path=%s status=%d release=%s\n",
				word(id), word(r.Method), word(r.URL.EscapedPath()), seen.code(), word(s.Release))
		}()
		h.ServeHTTP(seen, r)
	})
}

// word keeps a client from writing more than one word into the log.
func word(s string) string {
	const most = 256
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
}

// answer remembers the status.
type answer struct {
	http.ResponseWriter
	status int // 0: not written yet
}

func (a *answer) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Hijack lets a WebSocket have the connection.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// Unwrap gives http.ResponseController the rest: flush and deadlines.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
