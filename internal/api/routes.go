package api

import (
	"net/http"

	"gesalpai.ch/steady"
)

func (h handler) version(r *http.Request) (any, error) {
	return h.backend.Version(r.Context())
}

func (h handler) plan(r *http.Request) (any, error) {
	var q deployRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.Plan(r.Context(), q.Specs, q.Options)
}

func (h handler) deploy(r *http.Request) (any, error) {
	var q deployRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.Deploy(r.Context(), q.Specs, q.Options)
}

func (h handler) rollback(r *http.Request) (any, error) {
	var q rollbackRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.Rollback(r.Context(), r.PathValue("project"), q.To, q.Options)
}

func (h handler) scale(r *http.Request) (any, error) {
	var q scaleRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.Scale(r.Context(), r.PathValue("project"), q.Replicas, q.Options)
}

func (h handler) down(r *http.Request) (any, error) {
	var q downRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.Down(r.Context(), r.PathValue("project"), q.Volumes, q.Options)
}

func (h handler) abort(r *http.Request) (any, error) {
	var q abortRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return struct{}{}, h.backend.Abort(r.Context(), r.PathValue("project"), q.Rollout)
}

func (h handler) prune(r *http.Request) (any, error) {
	var q pruneRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	if q.Keep < 0 {
		return nil, steady.ErrUsage.With("the number of images to keep must not be below 0", "steady prune --keep 5")
	}
	return h.backend.Prune(r.Context(), r.PathValue("project"), q.Keep, q.Dry)
}

func (h handler) rollouts(r *http.Request) (any, error) {
	q := r.URL.Query()
	limit, err := number("limit", q.Get("limit"))
	if err != nil {
		return nil, err
	}
	return h.backend.Rollouts(r.Context(), q.Get("project"), int(limit))
}

func (h handler) rollout(r *http.Request) (any, error) {
	id, err := number("rollout", r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return h.backend.Rollout(r.Context(), id)
}

func (h handler) projects(r *http.Request) (any, error) {
	return h.backend.Projects(r.Context())
}

func (h handler) status(r *http.Request) (any, error) {
	return h.backend.Status(r.Context(), r.PathValue("project"))
}

func (h handler) releases(r *http.Request) (any, error) {
	list, serving, err := h.backend.Releases(r.Context(), r.PathValue("project"))
	if err != nil {
		return nil, err
	}
	return releasesAnswer{Releases: withoutSecrets(list), Serving: serving}, nil
}
