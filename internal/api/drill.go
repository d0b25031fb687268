package api

import (
	"context"
	"net/http"

	"gesalpai.ch/steady"
)

// drillRequest asks for a rollout of a service's serving release onto itself.
type drillRequest struct {
	Service string         `json:"service"`
	Options steady.Options `json:"options"`
}

// Drill asks for a rollout of a service's serving release onto itself.
func (c *Client) Drill(ctx context.Context, project, service string, o steady.Options) (steady.Rollout, error) {
	return call[steady.Rollout](ctx, c, http.MethodPost, of(project, "drill"), drillRequest{service, o})
}

func (h handler) drill(r *http.Request) (any, error) {
	var q drillRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.Drill(r.Context(), r.PathValue("project"), q.Service, q.Options)
}
