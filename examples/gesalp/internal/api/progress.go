package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"gesalp.example/stack/internal/job"
)

// progress is one report to a client. The release is the api's that reports, so
// that a client sees when it was moved to another.
type progress struct {
	ID      string    `json:"id"`
	Phase   job.Phase `json:"phase"`
	Made    int       `json:"made"`
	Rows    int       `json:"rows"`
	Attempt int       `json:"attempt"`
	Error   string    `json:"error,omitempty"`
	Release string    `json:"release"`
}

func (a *API) progress(s job.State) progress {
	return progress{s.Job.ID, s.Phase, s.Made, s.Job.Rows, s.Attempt, s.Error, a.Release}
}

// events reports a job's progress as server-sent events: "progress" until it has
// ended, then "done" or "failed". A server that stops says "bye": the client
// comes back, as EventSource does by itself.
func (a *API) events(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := a.untilStop(r.Context())
	defer cancel()
	id := r.PathValue("id")
	place := a.place(ctx, id)
	if _, err := place.State(ctx, id); err != nil {
		a.refuse(w, err)
		return
	}
	out := startEvents(w)
	err := place.Watch(ctx, id, func(s job.State) error {
		name := "progress"
		if s.Ended() {
			name = string(s.Phase)
		}
		return out.send(name, a.progress(s))
	})
	if err != nil && a.Stop.Err() != nil {
		_ = out.send("bye", map[string]string{"release": a.Release}) // the client has left
	}
}

// socket reports a job's progress as WebSocket messages, one JSON object each,
// and closes with 1000 when it has ended, 1001 when the server stops.
func (a *API) socket(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := a.untilStop(context.WithoutCancel(r.Context()))
	defer cancel()
	id := r.PathValue("id")
	place := a.place(ctx, id)
	if _, err := place.State(ctx, id); err != nil {
		a.refuse(w, err)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	gone := conn.CloseRead(context.WithoutCancel(ctx)) // ends when the client leaves
	defer context.AfterFunc(gone, cancel)()
	err = place.Watch(ctx, id, func(s job.State) error { return wsjson.Write(gone, conn, a.progress(s)) })
	switch {
	case err == nil:
		_ = conn.Close(websocket.StatusNormalClosure, "job has ended")
	case a.Stop.Err() != nil:
		_ = conn.Close(websocket.StatusGoingAway, "release stops")
	case gone.Err() == nil:
		_ = conn.Close(websocket.StatusInternalError, "progress is not to be had")
	}
}

// untilStop ends with ctx or when the server stops.
func (a *API) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	forget := context.AfterFunc(a.Stop, func() { cancel(errStopping) })
	return ctx, func() { forget(); cancel(nil) }
}

var errStopping = errors.New("server stops")

// eventStream writes server-sent events.
type eventStream struct {
	w    http.ResponseWriter
	sent int
}

func startEvents(w http.ResponseWriter) *eventStream {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Accel-Buffering", "no") // for an nginx in front
	w.WriteHeader(http.StatusOK)
	e := &eventStream{w: w}
	_ = http.NewResponseController(w).Flush() // seen at the first send
	return e
}

func (e *eventStream) send(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	e.sent++
	if _, err := fmt.Fprintf(e.w, "id: %d\nevent: %s\ndata: %s\n\n", e.sent, name, data); err != nil {
		return err
	}
	return http.NewResponseController(e.w).Flush()
}
