// Package api is the stack's front: it takes a table, has synthetic rows made of
// it, reports progress and gives the rows. Besides it has plain endpoints
// (exercise.go, neighbours.go) that let a test see whether a deploy loses anything.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/synth"
)

// Jobs is where jobs run. job.Queue and job.Local are such places.
type Jobs interface {
	// Submit starts the job; job.ErrAway when the place is not there.
	Submit(context.Context, job.Job, synth.Model) error
	// State says how far it is; job.ErrNone.
	State(ctx context.Context, id string) (job.State, error)
	// Watch calls f with each state until it has ended, ctx ends or f fails.
	Watch(ctx context.Context, id string, f func(job.State) error) error
	// Rows opens the rows of a job that is done; job.ErrNone before.
	Rows(ctx context.Context, id string) (io.ReadCloser, error)
}

// API is the handler of all paths.
type API struct {
	Queue   Jobs            // nil: there is none, all jobs run here
	Local   *job.Local      // where jobs run while the queue is away
	Release string          // put into events, whose headers are long gone
	Stop    context.Context // ends when streams must end
	Log     *slog.Logger
	Patient time.Duration // how long a new job waits for the queue before it runs here

	Neighbours Neighbours // asked by /ask/…
}

// Routes gives the handler; health answers /health.
func (a *API) Routes(health http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /health", health)
	mux.HandleFunc("POST /jobs", a.submit)
	mux.HandleFunc("GET /jobs/{id}", a.state)
	mux.HandleFunc("GET /jobs/{id}/events", a.events)
	mux.HandleFunc("GET /jobs/{id}/ws", a.socket)
	mux.HandleFunc("GET /jobs/{id}/rows", a.rows)

	mux.HandleFunc("GET /echo", a.echo)
	mux.HandleFunc("POST /echo", a.echoBody)
	mux.HandleFunc("GET /slow", a.slow)
	mux.HandleFunc("GET /sse", a.ticks)
	mux.HandleFunc("GET /ws", a.echoSocket)
	mux.HandleFunc("POST /upload", a.upload)
	mux.HandleFunc("GET /ask/report", a.askReport)
	mux.HandleFunc("GET /ask/ollama", a.askOllama)
	mux.HandleFunc("GET /ask/queue", a.askQueue)
	return mux
}

// place says where the job runs.
func (a *API) place(ctx context.Context, id string) Jobs {
	if _, err := a.Local.State(ctx, id); err == nil || a.Queue == nil {
		return a.Local
	}
	return a.Queue
}

func (a *API) writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has left
}

// refuse answers an error with the status that fits it.
func (a *API) refuse(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, job.ErrNone):
		status = http.StatusNotFound
	case errors.As(err, &tooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(err, job.ErrAsking), errors.Is(err, synth.ErrTable):
		status = http.StatusBadRequest
	case errors.Is(err, job.ErrAway):
		w.Header().Set("Retry-After", "2")
		status = http.StatusServiceUnavailable
	default:
		a.Log.Error("answer request", "err", err)
	}
	a.writeJSON(w, status, map[string]string{"error": err.Error()})
}
