package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// The endpoints of this file do no work of the stack. They let a test send every
// kind of traffic and see that a deploy loses none of it.

const maxEcho = 64 << 20 // bytes

// echo answers what it saw of the request: GET /echo.
func (a *API) echo(w http.ResponseWriter, r *http.Request) {
	a.writeJSON(w, http.StatusOK, map[string]any{
		"release": a.Release, "id": r.Header.Get("X-Request-Id"), "method": r.Method, "path": r.URL.Path,
		"query": r.URL.RawQuery, "host": r.Host, "proto": r.Proto, "header": r.Header,
	})
}

// echoBody answers the body, with its SHA-256 in X-Body-Sha256: POST /echo.
func (a *API) echoBody(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxEcho)); err != nil {
		a.refuse(w, err)
		return
	}
	sum := sha256.Sum256(body.Bytes())
	w.Header().Set("X-Body-Sha256", hex.EncodeToString(sum[:]))
	if kind := r.Header.Get("Content-Type"); kind != "" {
		w.Header().Set("Content-Type", kind)
	}
	_, _ = body.WriteTo(w) // the client has left
}

// slow answers after a while: GET /slow?d=2s.
func (a *API) slow(w http.ResponseWriter, r *http.Request) {
	d, err := duration(r, "d", 2*time.Second)
	if err != nil {
		a.refuse(w, err)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		a.writeJSON(w, http.StatusOK, map[string]string{"release": a.Release, "slept": d.String()})
	case <-r.Context().Done():
	}
}

// ticks sends an event every interval, "tick", until the client leaves, or "bye"
// when the server stops: GET /sse?interval=200ms.
func (a *API) ticks(w http.ResponseWriter, r *http.Request) {
	every, err := duration(r, "interval", time.Second)
	if err != nil {
		a.refuse(w, err)
		return
	}
	beat := time.NewTicker(max(every, time.Millisecond))
	defer beat.Stop()
	out := startEvents(w)
	for n := 1; ; n++ {
		if out.send("tick", map[string]any{"n": n, "release": a.Release}) != nil {
			return
		}
		select {
		case <-beat.C:
		case <-r.Context().Done():
			return
		case <-a.Stop.Done():
			_ = out.send("bye", map[string]string{"release": a.Release}) // the client has left
			return
		}
	}
}

// echoSocket sends each WebSocket message back: GET /ws. It closes with 1001
// when the server stops.
func (a *API) echoSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxEcho)
	closed := make(chan struct{})
	forget := context.AfterFunc(a.Stop, func() {
		defer close(closed)
		_ = conn.Close(websocket.StatusGoingAway, "release stops") // the read below sees it too
	})
	defer func() {
		if !forget() {
			<-closed
		}
	}()
	ctx := context.WithoutCancel(r.Context())
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if err := conn.Write(ctx, kind, message); err != nil {
			return
		}
	}
}

// upload counts the body's bytes, of which there may be any number, and keeps
// none: POST /upload.
func (a *API) upload(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		return // the client has left in the middle
	}
	a.writeJSON(w, http.StatusOK, map[string]any{
		"bytes": n, "sha256": hex.EncodeToString(sum.Sum(nil)), "release": a.Release,
	})
}
