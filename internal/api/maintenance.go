package api

import (
	"context"
	"net/http"

	"gesalpai.ch/steady"
)

// maintainRequest is the body of PUT /v1/projects/{project}/maintenance.
type maintainRequest struct {
	Services    []string            `json:"services,omitempty"`    // empty: all
	Maintenance *steady.Maintenance `json:"maintenance,omitempty"` // nil: open
}

func (h handler) maintain(r *http.Request) (any, error) {
	var q maintainRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.Maintain(r.Context(), r.PathValue("project"), q.Services, q.Maintenance)
}

func (h handler) maintenance(r *http.Request) (any, error) {
	return h.backend.Maintenance(r.Context(), r.PathValue("project"))
}

// Maintain puts services under maintenance, or opens them where m is nil.
func (c *Client) Maintain(ctx context.Context, project string, services []string, m *steady.Maintenance) (steady.Maintained, error) {
	return call[steady.Maintained](ctx, c, http.MethodPut, of(project, "maintenance"), maintainRequest{services, m})
}

// Maintenance tells which services are under maintenance.
func (c *Client) Maintenance(ctx context.Context, project string) (steady.Maintained, error) {
	return call[steady.Maintained](ctx, c, http.MethodGet, of(project, "maintenance"), nil)
}
