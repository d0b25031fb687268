package api

import (
	"context"
	"net/http"
	"time"

	"gesalpai.ch/steady"
)

// Locks is the part of a Backend that is about who may change a project alone.
type Locks interface {
	Leases(ctx context.Context, project string) (steady.Leases, error)
	// Lock takes a lease for a person; it waits for others to end as long as wait.
	// steady.ErrBusy.
	Lock(ctx context.Context, l steady.Lease, ticket string, wait time.Duration) (steady.Lease, error)
	// Unlock releases leases of persons: who's own, or with force anybody's.
	// steady.ErrBusy where another's, or a rollout's, is in the way.
	Unlock(ctx context.Context, project string, services []string, who string, force bool) ([]steady.Lease, error)
}

type (
	lockRequest struct {
		Services []string      `json:"services,omitempty"` // empty: the project as such
		Who      string        `json:"who"`
		Message  string        `json:"message,omitempty"`
		For      time.Duration `json:"for"`
		WaitLock time.Duration `json:"wait_lock,omitempty"`
		Ticket   string        `json:"ticket,omitempty"`
	}
	unlockRequest struct {
		Services []string `json:"services,omitempty"`
		Who      string   `json:"who"`
		Force    bool     `json:"force,omitempty"`
	}
)

func (h handler) leases(r *http.Request) (any, error) {
	return h.backend.Leases(r.Context(), r.PathValue("project"))
}

func (h handler) lock(r *http.Request) (any, error) {
	var q lockRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	l := steady.Lease{Project: r.PathValue("project"), Services: q.Services, Owner: q.Who, Message: q.Message, Expires: time.Now().UTC().Add(q.For)}
	return h.backend.Lock(r.Context(), l, q.Ticket, q.WaitLock)
}

func (h handler) unlock(r *http.Request) (any, error) {
	var q unlockRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.Unlock(r.Context(), r.PathValue("project"), q.Services, q.Who, q.Force)
}

// Leases tells who may change a project's services alone, and who waits for that.
func (c *Client) Leases(ctx context.Context, project string) (steady.Leases, error) {
	return call[steady.Leases](ctx, c, http.MethodGet, of(project, "lock"), nil)
}

// Lock takes a lease until l.Expires, counted from when it is granted.
func (c *Client) Lock(ctx context.Context, l steady.Lease, ticket string, wait time.Duration) (steady.Lease, error) {
	return call[steady.Lease](ctx, c, http.MethodPost, of(l.Project, "lock"), lockRequest{
		Services: l.Services, Who: l.Owner, Message: l.Message, For: time.Until(l.Expires), WaitLock: wait, Ticket: ticket,
	})
}

// Unlock releases leases of persons.
func (c *Client) Unlock(ctx context.Context, project string, services []string, who string, force bool) ([]steady.Lease, error) {
	return call[[]steady.Lease](ctx, c, http.MethodPost, of(project, "unlock"), unlockRequest{services, who, force})
}
