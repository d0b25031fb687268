package api

import (
	"context"
	"net/http"

	"gesalpai.ch/steady"
)

// Canaries is the part of Backend that steers a release on trial. Rollout 0 means the
// project's only one; who asks is told to those who watch. Each gives the stage as it
// is then; steady.ErrNotRunning when none is under way.
type Canaries interface {
	// Promote ends the stage, or with full all that are left.
	Promote(ctx context.Context, project string, rollout int64, full bool, who string) (steady.Stage, error)
	// Pause keeps the shares as they are, and Resume goes on.
	Pause(ctx context.Context, project string, rollout int64, who string) (steady.Stage, error)
	Resume(ctx context.Context, project string, rollout int64, who string) (steady.Stage, error)
}

// stageRequest is the body of what steers a stage.
type stageRequest struct {
	Rollout int64  `json:"rollout,omitempty"` // 0: the one that runs
	Full    bool   `json:"full,omitempty"`    // promote only
	Who     string `json:"who,omitempty"`
}

// Promote asks for the end of the stage under way, or with full of all.
func (c *Client) Promote(ctx context.Context, project string, rollout int64, full bool, who string) (steady.Stage, error) {
	return call[steady.Stage](ctx, c, http.MethodPost, of(project, "promote"), stageRequest{rollout, full, who})
}

// Pause asks to keep the shares as they are.
func (c *Client) Pause(ctx context.Context, project string, rollout int64, who string) (steady.Stage, error) {
	return call[steady.Stage](ctx, c, http.MethodPost, of(project, "pause"), stageRequest{Rollout: rollout, Who: who})
}

// Resume asks to go on after Pause.
func (c *Client) Resume(ctx context.Context, project string, rollout int64, who string) (steady.Stage, error) {
	return call[steady.Stage](ctx, c, http.MethodPost, of(project, "resume"), stageRequest{Rollout: rollout, Who: who})
}

func (h handler) promote(r *http.Request) (any, error) {
	var q stageRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.Promote(r.Context(), r.PathValue("project"), q.Rollout, q.Full, q.Who)
}

func (h handler) pause(r *http.Request) (any, error) { return h.steer(r, h.backend.Pause) }

func (h handler) resume(r *http.Request) (any, error) { return h.steer(r, h.backend.Resume) }

func (h handler) steer(r *http.Request, to func(context.Context, string, int64, string) (steady.Stage, error)) (any, error) {
	var q stageRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return to(r.Context(), r.PathValue("project"), q.Rollout, q.Who)
}
