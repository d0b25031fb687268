package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"gesalpai.ch/steady"
)

// maxBody bounds a request's body, in bytes; a large stack's specs take about 1 MB.
const maxBody = 64 << 20

// Handler serves b over HTTP. An answer that is no success is a steady.Error in
// JSON; event streams and logs are one JSON object a line, with empty lines as
// heartbeats. Whatever a client began goes on when the client leaves.
func Handler(b Backend, log *slog.Logger) http.Handler {
	h := handler{backend: b, log: log, beat: heartbeat}
	mux := http.NewServeMux()
	for pattern, ask := range map[string]func(*http.Request) (any, error){
		"GET /v1/version":                      h.version,
		"POST /v1/plans":                       h.plan,
		"POST /v1/rollouts":                    h.deploy,
		"GET /v1/rollouts":                     h.rollouts,
		"GET /v1/rollouts/{id}":                h.rollout,
		"GET /v1/projects":                     h.projects,
		"GET /v1/projects/{project}/status":    h.status,
		"GET /v1/projects/{project}/releases":  h.releases,
		"POST /v1/projects/{project}/rollback": h.rollback,
		"POST /v1/projects/{project}/scale":    h.scale,
		"POST /v1/projects/{project}/down":     h.down,
		"POST /v1/projects/{project}/abort":    h.abort,
		"POST /v1/projects/{project}/prune":    h.prune,
		"POST /v1/projects/{project}/promote":  h.promote,
		"POST /v1/projects/{project}/pause":    h.pause,
		"POST /v1/projects/{project}/resume":   h.resume,
		"POST /v1/nginx/sites":                 h.installSite,
		"GET /v1/nginx/sites/{site}":           h.siteStatus,
		"POST /v1/nginx/sites/{site}/remove":   h.removeSite,
		"GET /v1/audit":                        h.audit,
		"GET /v1/projects/{project}/lock":      h.leases,
		"POST /v1/projects/{project}/lock":     h.lock,
		"POST /v1/projects/{project}/unlock":   h.unlock,
		"/":                                    h.unknown,
		"POST /v1/projects/{project}/drill":    h.drill,

		"PUT /v1/projects/{project}/maintenance": h.maintain,
		"GET /v1/projects/{project}/maintenance": h.maintenance,

		"GET /v1/projects/{project}/notifications":  h.notifications,
		"POST /v1/projects/{project}/notifications": h.testNotify,
	} {
		mux.Handle(pattern, h.answer(ask))
	}
	mux.HandleFunc("GET /v1/rollouts/{id}/events", h.events)
	mux.HandleFunc("GET /v1/projects/{project}/logs", h.logs)
	return mux
}

type handler struct {
	backend Backend
	log     *slog.Logger
	beat    time.Duration
}

func (h handler) answer(ask func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		v, err := ask(r)
		if err != nil {
			h.refuse(w, r, err)
			return
		}
		h.write(w, r, http.StatusOK, v)
	})
}

func (h handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := steady.AsError(err)
	if e.Code == steady.ErrInternal.Code && r.Context().Err() == nil {
		h.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	h.write(w, r, httpStatus(e), e)
}

func (h handler) write(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		h.log.Error("answer cannot be encoded", "path", r.URL.Path, "err", err)
		status, body = http.StatusInternalServerError, []byte(`{"code":"internal","text":"answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(append(body, '\n')); err != nil {
		h.log.Debug("client left", "path", r.URL.Path, "err", err)
	}
}

func (h handler) unknown(r *http.Request) (any, error) {
	return nil, steady.ErrUsage.With(fmt.Sprintf("the daemon knows no %s %s", r.Method, r.URL.Path), "steady version")
}

// read decodes a request's body.
func read(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return steady.ErrUsage.With(fmt.Sprintf("request not understood: %v", err), "steady version")
	}
	return nil
}

// number reads a decimal number from a query or path value; empty is 0.
func number(name, s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, steady.ErrUsage.With(fmt.Sprintf("%s is no number: %q", name, s), "")
	}
	return n, nil
}
