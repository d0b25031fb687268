package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"gesalpai.ch/steady"
)

// Deploy asks for a rollout of specs; it returns when the rollout is accepted.
func (c *Client) Deploy(ctx context.Context, specs []steady.Spec, o steady.Options) (steady.Rollout, error) {
	return call[steady.Rollout](ctx, c, http.MethodPost, "/v1/rollouts", deployRequest{specs, o})
}

// Plan asks what Deploy would do.
func (c *Client) Plan(ctx context.Context, specs []steady.Spec, o steady.Options) (steady.Plan, error) {
	return call[steady.Plan](ctx, c, http.MethodPost, "/v1/plans", deployRequest{specs, o})
}

// Rollback asks for a rollout to an older release.
func (c *Client) Rollback(ctx context.Context, project string, to int, o steady.Options) (steady.Rollout, error) {
	return call[steady.Rollout](ctx, c, http.MethodPost, of(project, "rollback"), rollbackRequest{to, o})
}

// Scale asks for other numbers of replicas of the serving releases.
func (c *Client) Scale(ctx context.Context, project string, replicas map[string]int, o steady.Options) (steady.Rollout, error) {
	return call[steady.Rollout](ctx, c, http.MethodPost, of(project, "scale"), scaleRequest{replicas, o})
}

// Down asks for the project's removal.
func (c *Client) Down(ctx context.Context, project string, volumes bool, o steady.Options) (steady.Rollout, error) {
	return call[steady.Rollout](ctx, c, http.MethodPost, of(project, "down"), downRequest{volumes, o})
}

// Abort asks a running rollout to undo itself.
func (c *Client) Abort(ctx context.Context, project string, rollout int64) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, of(project, "abort"), abortRequest{rollout})
	return err
}

// Prune lets go of images that a project's releases need no more.
func (c *Client) Prune(ctx context.Context, project string, keep int, dry bool) ([]steady.PrunedImage, error) {
	return call[[]steady.PrunedImage](ctx, c, http.MethodPost, of(project, "prune"), pruneRequest{keep, dry})
}

// Rollouts lists rollouts, newest first.
func (c *Client) Rollouts(ctx context.Context, project string, limit int) ([]steady.Rollout, error) {
	q := url.Values{"project": {project}, "limit": {strconv.Itoa(limit)}}
	return call[[]steady.Rollout](ctx, c, http.MethodGet, "/v1/rollouts?"+q.Encode(), nil)
}

// Rollout finds one rollout.
func (c *Client) Rollout(ctx context.Context, id int64) (steady.Rollout, error) {
	return call[steady.Rollout](ctx, c, http.MethodGet, "/v1/rollouts/"+strconv.FormatInt(id, 10), nil)
}

// Releases lists a project's releases without their environment and build
// sections, newest first, and the serving release of each service.
func (c *Client) Releases(ctx context.Context, project string) ([]steady.Release, map[string]int, error) {
	a, err := call[releasesAnswer](ctx, c, http.MethodGet, of(project, "releases"), nil)
	return a.Releases, a.Serving, err
}

// Projects lists the projects that the daemon knows.
func (c *Client) Projects(ctx context.Context) ([]string, error) {
	return call[[]string](ctx, c, http.MethodGet, "/v1/projects", nil)
}

// Status tells the state of a project.
func (c *Client) Status(ctx context.Context, project string) (steady.Status, error) {
	return call[steady.Status](ctx, c, http.MethodGet, of(project, "status"), nil)
}

// Version asks what runs there.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return call[Version](ctx, c, http.MethodGet, "/v1/version", nil)
}

func of(project, what string) string {
	return "/v1/projects/" + url.PathEscape(project) + "/" + what
}
