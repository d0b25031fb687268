package api

import (
	"context"
	"net/http"

	"gesalpai.ch/steady"
)

// Notices is the part of a Backend that is about notifications. What it gives is
// without bodies and receivers, which may hold secrets.
type Notices interface {
	// Notifications lists a project's last ones, newest first, on their way or over.
	Notifications(ctx context.Context, project string) ([]steady.Delivery, error)
	// TestNotify tells the receivers a test at once, and what came of it.
	TestNotify(ctx context.Context, project string, receivers []steady.Receiver) ([]steady.Delivery, error)
}

type testNotifyRequest struct {
	Receivers []steady.Receiver `json:"receivers"`
}

func (h handler) notifications(r *http.Request) (any, error) {
	return h.backend.Notifications(r.Context(), r.PathValue("project"))
}

func (h handler) testNotify(r *http.Request) (any, error) {
	var q testNotifyRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.TestNotify(r.Context(), r.PathValue("project"), q.Receivers)
}

// Notifications lists a project's last notifications.
func (c *Client) Notifications(ctx context.Context, project string) ([]steady.Delivery, error) {
	return call[[]steady.Delivery](ctx, c, http.MethodGet, of(project, "notifications"), nil)
}

// TestNotify tells receivers a test.
func (c *Client) TestNotify(ctx context.Context, project string, receivers []steady.Receiver) ([]steady.Delivery, error) {
	return call[[]steady.Delivery](ctx, c, http.MethodPost, of(project, "notifications"), testNotifyRequest{receivers})
}
