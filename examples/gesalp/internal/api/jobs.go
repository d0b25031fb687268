package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/synth"
)

const (
	maxTable = 32 << 20         // bytes of a table
	patience = 10 * time.Second // of a question about a job, while the queue is away
)

// submit takes a table, as the body or as the first file of a form, and starts a
// job: POST /jobs?rows=1000&chunk=50&pace=100ms. rows is as many as the table
// has, chunk a twentieth, pace none, unless said otherwise.
func (a *API) submit(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxTable)
	table, err := tableOf(r)
	if err != nil {
		a.refuse(w, err)
		return
	}
	model, err := synth.Learn(table)
	if err != nil {
		a.refuse(w, err)
		return
	}
	j, err := ask(r, model)
	if err != nil {
		a.refuse(w, err)
		return
	}
	if err := a.start(r.Context(), j, model); err != nil {
		a.refuse(w, err)
		return
	}
	w.Header().Set("Location", "/jobs/"+j.ID)
	a.writeJSON(w, http.StatusAccepted, j)
}

// start runs the job here when the queue is away. Should the queue have it
// nonetheless, nothing is doubled: the id and seed, and so the rows, are the same.
func (a *API) start(ctx context.Context, j job.Job, m synth.Model) error {
	if a.Queue == nil {
		return a.Local.Submit(ctx, j, m)
	}
	waiting, cancel := context.WithTimeout(ctx, a.Patient)
	defer cancel()
	err := a.Queue.Submit(waiting, j, m)
	if !errors.Is(err, job.ErrAway) {
		return err
	}
	a.Log.Warn("queue is away, the job runs here", "job", j.ID, "err", err)
	return a.Local.Submit(ctx, j, m)
}

func tableOf(r *http.Request) (io.Reader, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return r.Body, nil
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, fmt.Errorf("%w: form: %w", synth.ErrTable, err)
	}
	for {
		part, err := form.NextPart()
		if err != nil {
			return nil, fmt.Errorf("%w: form has no file: %w", synth.ErrTable, err)
		}
		if part.FileName() != "" {
			return part, nil
		}
	}
}

// ask reads the query of a new job.
func ask(r *http.Request, m synth.Model) (job.Job, error) {
	rows, err := number(r, "rows", m.Rows)
	if err != nil {
		return job.Job{}, err
	}
	chunk, err := number(r, "chunk", max(rows/20, 1))
	if err != nil {
		return job.Job{}, err
	}
	pace, err := duration(r, "pace", 0)
	if err != nil {
		return job.Job{}, err
	}
	return job.New(rows, len(m.Columns), chunk, pace)
}

func number(r *http.Request, key string, otherwise int) (int, error) {
	s := r.URL.Query().Get(key)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%w: %s is no number", job.ErrAsking, key)
	}
	return n, nil
}

func duration(r *http.Request, key string, otherwise time.Duration) (time.Duration, error) {
	s := r.URL.Query().Get(key)
	if s == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%w: %s is no duration", job.ErrAsking, key)
	}
	return d, nil
}

func (a *API) state(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	id := r.PathValue("id")
	s, err := a.place(ctx, id).State(ctx, id)
	if err != nil {
		a.refuse(w, err)
		return
	}
	a.writeJSON(w, http.StatusOK, s)
}

// rows answers 404 for a job that is not there and 409 for one that is not done.
func (a *API) rows(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	id := r.PathValue("id")
	place := a.place(ctx, id)
	s, err := place.State(ctx, id)
	if err != nil {
		a.refuse(w, err)
		return
	}
	if s.Phase != job.Done {
		a.writeJSON(w, http.StatusConflict, s)
		return
	}
	rows, err := place.Rows(ctx, id)
	if err != nil {
		a.refuse(w, err)
		return
	}
	defer rows.Close()
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", id+".csv"))
	if _, err := io.Copy(w, rows); err != nil {
		// The status is out: only a broken connection can still say so.
		panic(http.ErrAbortHandler)
	}
}
