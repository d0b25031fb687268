package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gesalpai.ch/steady"
)

// originHeader carries steady.Origin, what the caller says of itself, as JSON.
const originHeader = "Steady-Origin"

// Ledger is where the audit log is kept.
type Ledger interface {
	// PutDeed appends a deed before it is done and sets its ID.
	PutDeed(ctx context.Context, d *steady.Deed) error
	// PutOutcome appends what came of it: its Outcome, Code and Rollout.
	PutOutcome(ctx context.Context, d steady.Deed) error
}

// Audited has every request that may change something recorded: who asks, from
// where and for what, before it is carried out, and what came of it after. It goes
// by method and path alone, so a new call is recorded without being named here. A
// ledger that cannot be written is logged and keeps nobody from working.
func Audited(next http.Handler, ledger Ledger, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !changes(r) {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err != nil {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
		}
		d := deedOf(r, body)
		keep := context.WithoutCancel(r.Context()) // who leaves is recorded too
		if err := ledger.PutDeed(keep, &d); err != nil {
			log.Error("write to the audit log", "command", d.Command, "project", d.Project, "err", err)
		}
		answer := &answered{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		if d.ID == 0 {
			return
		}
		answer.settle(&d)
		if err := ledger.PutOutcome(keep, d); err != nil {
			log.Error("write to the audit log", "command", d.Command, "project", d.Project, "err", err)
		}
	})
}

// failing is a reader that gives the error with which a body ended.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// changes says whether a request may change something. Planning does not.
func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.URL.Path != "/v1/plans"
}

// answered notes what a handler answers.
type answered struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer // its beginning
}

func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Write(b []byte) (int, error) {
	if left := 1<<20 - a.body.Len(); left > 0 {
		a.body.Write(b[:min(len(b), left)])
	}
	return a.ResponseWriter.Write(b)
}

func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// settle reads from the answer what came of the deed.
func (a *answered) settle(d *steady.Deed) {
	if a.status >= 300 {
		var e steady.Error
		_ = json.Unmarshal(a.body.Bytes(), &e) // what is no error of ours has no code
		d.Outcome, d.Code = steady.DeedRefused, e.Code
		return
	}
	d.Outcome = steady.DeedDone
	var r steady.Rollout
	if json.Unmarshal(a.body.Bytes(), &r) == nil && r.ID > 0 && r.Kind != "" {
		d.Outcome, d.Rollout = steady.DeedAccepted, r.ID
	}
}

func (h handler) audit(r *http.Request) (any, error) {
	v := r.URL.Query()
	limit, err := number("limit", v.Get("limit"))
	if err != nil {
		return nil, err
	}
	q := steady.AuditQuery{Project: v.Get("project"), Limit: int(limit)}
	if since := v.Get("since"); since != "" {
		if q.Since, err = time.Parse(time.RFC3339Nano, since); err != nil {
			return nil, steady.ErrUsage.With("since is no RFC 3339 time: "+since, "")
		}
	}
	return h.backend.Deeds(r.Context(), q)
}

// Deeds reads the audit log, newest first.
func (c *Client) Deeds(ctx context.Context, q steady.AuditQuery) ([]steady.Deed, error) {
	v := url.Values{"project": {q.Project}, "limit": {strconv.Itoa(q.Limit)}}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	return call[[]steady.Deed](ctx, c, http.MethodGet, "/v1/audit?"+v.Encode(), nil)
}
