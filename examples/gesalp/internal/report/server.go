package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/synth"
)

const (
	maxTable  = 32 << 20
	maxMemory = 256 << 20 // of a job's rows
	patience  = 10 * time.Second
)

// Jobs is where jobs and their rows are. job.Queue is one.
type Jobs interface {
	State(ctx context.Context, id string) (job.State, error)
	Model(ctx context.Context, id string) (synth.Model, error)
	Rows(ctx context.Context, id string) (io.ReadCloser, error)
}

// Server answers with reports.
type Server struct {
	Jobs    Jobs // nil: only tables that are sent
	Release string
	Ollama  Ollama
	Log     *slog.Logger
}

// Routes gives the handler; health answers /health.
func (s *Server) Routes(health http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /health", health)
	mux.HandleFunc("GET /reports/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, r, func(ctx context.Context) (Report, error) { return s.ofJob(ctx, r.PathValue("id")) })
	})
	mux.HandleFunc("POST /reports", s.post)
	return mux
}

// post takes {"job": "ID"}, or a table, of which it makes synthetic rows itself.
func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	body := http.MaxBytesReader(w, r.Body, maxTable)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/json" {
		s.answer(w, r, func(context.Context) (Report, error) { return s.ofTable(body) })
		return
	}
	var ask struct {
		Job string `json:"job"`
	}
	if err := json.NewDecoder(body).Decode(&ask); err != nil {
		http.Error(w, "body is no JSON object", http.StatusBadRequest)
		return
	}
	s.answer(w, r, func(ctx context.Context) (Report, error) { return s.ofJob(ctx, ask.Job) })
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, make func(context.Context) (Report, error)) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	report, err := make(ctx)
	if err == nil {
		report.Release, report.Summary = s.Release, s.Ollama.Summary(ctx, report.Model)
		var page bytes.Buffer
		if err = report.Write(&page); err == nil {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
			_, _ = page.WriteTo(w) // the client has left
			return
		}
	}
	s.refuse(w, err)
}

// errNotDone is the client's fault: it came too early.
var errNotDone = errors.New("job is not done")

func (s *Server) ofJob(ctx context.Context, id string) (Report, error) {
	if s.Jobs == nil {
		return Report{}, job.ErrAway
	}
	state, err := s.Jobs.State(ctx, id)
	if err != nil {
		return Report{}, err
	}
	if state.Phase != job.Done {
		return Report{}, fmt.Errorf("%w: %s", errNotDone, state.Phase)
	}
	model, err := s.Jobs.Model(ctx, id)
	if err != nil {
		return Report{}, err
	}
	rows, err := s.Jobs.Rows(ctx, id)
	if err != nil {
		return Report{}, err
	}
	defer rows.Close()
	counts, err := model.Compare(io.LimitReader(rows, maxMemory))
	if err != nil {
		return Report{}, fmt.Errorf("read rows: %w", err)
	}
	return Report{Title: "Job " + id, Model: model, Made: state.Made, Counts: counts}, nil
}

func (s *Server) ofTable(table io.Reader) (Report, error) {
	model, err := synth.Learn(table)
	if err != nil {
		return Report{}, err
	}
	j, err := job.New(min(model.Rows, 10_000), len(model.Columns), 1000, 0)
	if err != nil {
		return Report{}, err
	}
	rows, err := job.Make(context.Background(), j, model, func(int) {})
	if err != nil {
		return Report{}, err
	}
	counts, err := model.Compare(bytes.NewReader(rows))
	if err != nil {
		return Report{}, err
	}
	return Report{Title: "Table", Model: model, Made: j.Rows, Counts: counts}, nil
}

func (s *Server) refuse(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, job.ErrNone):
		status = http.StatusNotFound
	case errors.Is(err, errNotDone):
		status = http.StatusConflict
	case errors.As(err, &tooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(err, synth.ErrTable), errors.Is(err, job.ErrAsking):
		status = http.StatusBadRequest
	case errors.Is(err, job.ErrAway):
		w.Header().Set("Retry-After", "2")
		status = http.StatusServiceUnavailable
	default:
		s.Log.Error("make report", "err", err)
	}
	http.Error(w, err.Error(), status)
}
