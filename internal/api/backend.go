// Package api is the daemon's HTTP API on a unix socket, both ends of it: the
// handler that the daemon serves and the client that the command line uses.
// Errors cross it with their code, so that errors.Is works on both sides.
package api

import (
	"context"

	"gesalpai.ch/steady"
)

// Backend is what the API serves; the daemon implements it. Methods that start a
// rollout return as soon as it is accepted; Events tells the rest.
type Backend interface {
	Deploy(ctx context.Context, specs []steady.Spec, o steady.Options) (steady.Rollout, error)
	Rollback(ctx context.Context, project string, to int, o steady.Options) (steady.Rollout, error)
	Scale(ctx context.Context, project string, replicas map[string]int, o steady.Options) (steady.Rollout, error)
	Down(ctx context.Context, project string, volumes bool, o steady.Options) (steady.Rollout, error)
	// Drill replaces the serving release of a service by the same one.
	Drill(ctx context.Context, project, service string, o steady.Options) (steady.Rollout, error)
	// Abort asks a running rollout to undo itself; steady.ErrNotRunning when none runs.
	Abort(ctx context.Context, project string, rollout int64) error
	Plan(ctx context.Context, specs []steady.Spec, o steady.Options) (steady.Plan, error)
	// Events calls say for each event with Seq > after, as they come, until the
	// last one or until ctx ends.
	Events(ctx context.Context, rollout int64, after int64, say func(steady.Event) error) error
	Rollouts(ctx context.Context, project string, limit int) ([]steady.Rollout, error) // newest first
	Rollout(ctx context.Context, id int64) (steady.Rollout, error)
	Releases(ctx context.Context, project string) ([]steady.Release, map[string]int, error) // newest first; serving by service
	// Prune lets go of the images that a project's releases need no more, but for keep
	// images of each service besides the serving one's; dry only tells which.
	Prune(ctx context.Context, project string, keep int, dry bool) ([]steady.PrunedImage, error)
	Projects(ctx context.Context) ([]string, error)
	Status(ctx context.Context, project string) (steady.Status, error)
	Logs(ctx context.Context, q steady.LogQuery, say func(steady.LogLine) error) error
	Version(ctx context.Context) (Version, error)
	// Maintain puts services under maintenance, all without names, or opens them
	// where m is nil. It returns when what was in flight has ended.
	Maintain(ctx context.Context, project string, services []string, m *steady.Maintenance) (steady.Maintained, error)
	Maintenance(ctx context.Context, project string) (steady.Maintained, error)
	Sites
	Locks
	// Deeds reads the audit log, newest first.
	Deeds(ctx context.Context, q steady.AuditQuery) ([]steady.Deed, error)
	Canaries
	Notices
}

// Version is what the daemon says of itself.
type Version struct {
	Steady string `json:"steady"`
	Go     string `json:"go"`
	Engine string `json:"engine"` // empty when no Engine answers
	API    string `json:"api"`    // Engine API version negotiated
	Proxy  int    `json:"proxy"`  // its pid, 0 when it does not answer
	// ProxySocket is where the proxy of that daemon is controlled.
	ProxySocket string `json:"proxy_socket,omitempty"`
}
