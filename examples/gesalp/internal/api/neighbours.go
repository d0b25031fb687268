package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"gesalp.example/stack/internal/job"
)

// Neighbours are the stack's other services that the api asks over HTTP, as
// "http://name:port". One that is empty is not there.
type Neighbours struct {
	Report string
	Ollama string
	Model  string // that Ollama is asked for
}

const (
	neighbourly = 30 * time.Second // what one question to a neighbour may take
	sampleTable = "age,city\n31,Bern\n42,Basel\n53,Bern\n"
)

// askReport has the report service make a page of a small table: GET /ask/report.
func (a *API) askReport(w http.ResponseWriter, r *http.Request) {
	a.pass(w, r, a.Neighbours.Report, "/reports", "text/csv", sampleTable)
}

// askOllama has the language model say a sentence: GET /ask/ollama.
func (a *API) askOllama(w http.ResponseWriter, r *http.Request) {
	ask, err := json.Marshal(map[string]any{"model": a.Neighbours.Model, "stream": false, "prompt": "Say in one sentence: hello"})
	if err != nil {
		a.refuse(w, err)
		return
	}
	a.pass(w, r, a.Neighbours.Ollama, "/api/generate", "application/json", string(ask))
}

// askQueue asks the queue for a job that is not there, and waits while the queue
// is away: GET /ask/queue.
func (a *API) askQueue(w http.ResponseWriter, r *http.Request) {
	if a.Queue == nil {
		a.refuse(w, job.ErrAway)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), neighbourly)
	defer cancel()
	if _, err := a.Queue.State(ctx, strings.Repeat("A", 26)); !errors.Is(err, job.ErrNone) {
		a.refuse(w, fmt.Errorf("ask the queue: %w", err))
		return
	}
	a.writeJSON(w, http.StatusOK, map[string]string{"release": a.Release})
}

// pass posts the body to the neighbour, once, and passes a good answer on. Any
// other is 502, so that a test sees it as its own request lost.
func (a *API) pass(w http.ResponseWriter, r *http.Request, neighbour, path, kind, body string) {
	if neighbour == "" {
		a.writeJSON(w, http.StatusNotFound, map[string]string{"error": "no such neighbour"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), neighbourly)
	defer cancel()
	answer, header, err := post(ctx, neighbour+path, kind, body)
	if err != nil {
		a.Log.Warn("ask neighbour", "url", neighbour+path, "err", err)
		a.writeJSON(w, http.StatusBadGateway, map[string]string{"error": err.Error()})
		return
	}
	w.Header().Set("Content-Type", header.Get("Content-Type"))
	_, _ = w.Write(answer) // the client has left
}

func post(ctx context.Context, url, kind, body string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(io.LimitReader(resp.Body, maxEcho)); err != nil {
		return nil, nil, fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s: %.200s", resp.Status, answer.String())
	}
	return answer.Bytes(), resp.Header, nil
}
